"""The chat screen and what drives it."""
