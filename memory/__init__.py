"""Memory: stores what the user marked safely and finds it again when it is relevant."""
