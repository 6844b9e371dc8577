"""Files: atomic writes, bounded reads, locks, and the files of SQLite."""
