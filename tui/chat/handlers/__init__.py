"""Slash commands of the chat: one module per subject."""
