"""One trial of a night, and what to try after it."""
