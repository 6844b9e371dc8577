"""Backups of the journal, and checks that the memory is intact."""
