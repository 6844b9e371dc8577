"""The introduction in an empty thread: what Discern is, and four things to do."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import tr
from tui.terminal.sanitize import labels_width, padded

LINES = (
    ("ask", "a question and read the reply"),
    ("/diff", "error => the better answer, if the reply is wrong"),
    ("/train", "to train now, or wait for the nightly training"),
    ("/help", "for all commands and keys"),
)


class Welcome(Static):
    """Shown until the first message."""

    DEFAULT_CSS = """
    Welcome {
        height: auto;
        margin: 1 2 0 3;
        color: $muted;
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def render(self) -> Content:
        """Return the lines, with commands in the accent colour."""
        accent = f"bold {self.app.theme_variables['accent']}"
        room = labels_width(tr(name) for name, _ in LINES)
        parts: list[Content] = [
            Content.styled("◆ discern", accent),
            Content("  " + tr("a chat that learns from the replies you mark") + "\n"),
        ]
        for name, rest in LINES:
            label = padded(tr(name), room)
            parts += [Content("\n  "), Content.styled(label, "bold"), Content(tr(rest))]
        return Content("").join(parts)
