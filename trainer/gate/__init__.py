"""Decide whether an adapter may be published."""
