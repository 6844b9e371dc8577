"""The base of a setup page: a question, its answers, a description, and the keys.

A page posts its answer and does not depend on the pages before and after it.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.terminal.sanitize import clean


class SetupPage(Vertical):
    """A lead, `parts()`, a description of the highlighted answer, an error, the keys."""

    DEFAULT_CSS = """
    SetupPage {
        height: 1fr;
        max-width: 96;
        padding: 0 2;
        & > .lead { height: auto; margin: 1 0; }
        & > .about { height: auto; min-height: 2; margin: 1 0 0 0; color: $muted; }
        & > .said { height: auto; margin: 1 0 0 0; color: $error; }
        & > .said.-quiet { color: $foreground; }
        & > .keys { dock: bottom; height: auto; color: $muted; }
        & > Choices { height: auto; max-height: 14; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lead = Static("", markup=False, classes="lead")
        self._about = Static("", markup=False, classes="about")
        self._error = Static("", markup=False, classes="said")
        self._keys = Static("", markup=False, classes="keys")
        self._error.display = False

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._lead
        yield from self.parts()
        yield self._about
        yield self._error
        yield self._keys

    def parts(self) -> list[Widget]:
        """Return the widgets of the answers."""
        return []

    def lead(self, text: str | Content) -> None:
        """Set the lead."""
        self._lead.update(text if isinstance(text, Content) else Content(clean(text)))

    def about(self, text: str | Content) -> None:
        """Set the description."""
        self._about.update(text if isinstance(text, Content) else Content(clean(text)))

    def keys(self, text: str) -> None:
        """Set the line of keys."""
        self._keys.update(Content(clean(text)))

    def say(self, text: str, *, quiet: bool = False) -> None:
        """Show an error or, quietly, a status; "" removes it."""
        text = text[:1].upper() + text[1:]
        if text and not quiet:
            text = f"! {text}"
        self._error.update(Content(clean(text)))
        self._error.set_class(quiet, "-quiet")
        self._error.display = bool(text)
        self._about.display = quiet or not text

    def back(self) -> bool:
        """Go back a step within the page; return whether there was one."""
        return False
