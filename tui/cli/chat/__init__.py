"""Commands that talk: chat, ask, compare, sessions, web."""
