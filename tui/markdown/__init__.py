"""Incremental parsing, layout and drawing of Markdown."""
