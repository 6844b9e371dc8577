"""Finding the past differences that bear on a message."""
