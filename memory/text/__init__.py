"""Words and numbers of a text as search compares them, and quoting of stored text."""
