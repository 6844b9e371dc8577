"""The registry of slash commands, completion and the commands page."""
