"""Slash commands of the chat: one module a subject."""
