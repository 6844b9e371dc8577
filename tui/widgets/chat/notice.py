"""Messages of Discern between the turns: results of commands, errors, hints."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.terminal.sanitize import clean

LEVEL_SIGNS = {"info": "", "done": "✓ ", "error": "! "}


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
        super().__init__(Content(LEVEL_SIGNS[kind] + clean(text)), markup=False, classes=f"-{kind}")
        self.text = text
        self.kind = kind


class Refusal(Notice):
    """Why a mark was refused; its text is in the input again. The next mark or message removes it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "error")


class Hint(Notice):
    """A suggestion to mark the reply whose turn has the id `turn`; the next message removes it."""

    def __init__(self, text: str, turn: str) -> None:
        super().__init__(text)
        self.turn = turn
