"""Files: written whole or not at all, read within limits, locked, and SQLite's own."""
