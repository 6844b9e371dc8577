"""Widgets with no subject of their own."""
