"""What an empty thread shows: what this is, and the four things to do."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

LINES = (
    ("ask", "something, and read the reply"),
    ("/diff", "error => how it should have sounded, when it is wrong"),
    ("/train", "to learn it now, or let the night do it"),
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
        """Return the lines, the commands in the accent."""
        accent = f"bold {self.app.theme_variables['accent']}"
        parts: list[Content] = [
            Content.styled("◆ discern", accent),
            Content("  a chat that learns from the differences you mark\n"),
        ]
        for name, rest in LINES:
            parts += [Content("\n  "), Content.styled(f"{name:<8}", "bold"), Content(rest)]
        return Content("").join(parts)
