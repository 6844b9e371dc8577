"""A night: its run, ledger, schedule and process."""
