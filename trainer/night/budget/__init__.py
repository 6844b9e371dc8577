"""The time budget of a night: estimate, limit and measurement."""
