"""The `discern` command line."""
