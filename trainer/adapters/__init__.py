"""Publish and export adapters, and tell whether the current one is up to date."""
