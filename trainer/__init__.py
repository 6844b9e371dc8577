"""Train an adapter from marked differences, evaluate it, and publish it if it passes the gate."""
