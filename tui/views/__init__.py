"""Rendering of reports, differences, sessions and errors as text."""
