"""`discern memory` and its subcommands."""
