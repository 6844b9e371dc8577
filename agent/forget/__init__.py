"""Removing forgotten text, and finding where copies of it remain."""
