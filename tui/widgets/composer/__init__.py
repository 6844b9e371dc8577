"""The input, its completion menu and the status line."""
