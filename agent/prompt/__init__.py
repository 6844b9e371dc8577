"""Messages to prompt tokens, and the text of a reply back to its parts."""
