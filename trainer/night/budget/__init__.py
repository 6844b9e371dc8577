"""The time of a night: estimated before it starts, kept within its limit, measured afterwards."""
