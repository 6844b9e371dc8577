"""The terminal chat and the command line."""
