"""Widgets of the transcript."""
