"""Chat commands: chat, ask, compare, sessions, web."""
