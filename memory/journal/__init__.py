"""The journal: one SQLite file with every turn, difference and night."""
