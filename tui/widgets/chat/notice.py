"""A word from Discern itself between the messages: an answer to a command, a hint, an error."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.terminal.sanitize import clean

SIGNS = {"info": "", "done": "✓ ", "error": "! "}


class Notice(Static):
    """Plain text, never markup. `kind` is info, done or error."""

    DEFAULT_CSS = """
    Notice {
        height: auto;
        margin: 1 2 0 3;
        color: $muted;
        &.-error { color: $error; }
        &.-done { color: $success; }
    }
    """

    def __init__(self, text: str, kind: str = "info") -> None:
        super().__init__(Content(SIGNS[kind] + clean(text)), markup=False, classes=f"-{kind}")
        self.text = text
        self.kind = kind
