"""English and Russian: which language is in force, and the catalogue of messages."""
