"""Prompts evaluated together, several sequences in one batch."""
