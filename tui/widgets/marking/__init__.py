"""Widgets for marking a reply."""
