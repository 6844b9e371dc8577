"""Markdown that is laid out while it streams."""
