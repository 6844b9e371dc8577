"""Find the past differences that are relevant to a message."""
