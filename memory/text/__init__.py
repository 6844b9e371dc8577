"""Words and numbers of a text as search compares them, quoting of stored text, counts in words."""
