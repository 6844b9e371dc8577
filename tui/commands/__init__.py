"""Slash commands: their registry, completion and documentation page."""
