"""Renderings of reports, differences and sessions."""
