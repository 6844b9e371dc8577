"""Widgets of the Training screen."""
