"""What a question is about, and other names and things of the same kind."""
