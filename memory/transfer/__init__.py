"""Import and export of differences and sessions."""
