"""English and Russian: the current language and the message catalogue."""
