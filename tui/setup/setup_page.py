"""One page of the setup: a question, what can be answered, a word on it, and the keys.

A page says what was answered by a message and knows nothing of the page before or after it.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.terminal.sanitize import clean


class SetupPage(Vertical):
    """The lead above, `parts()` in the middle, a word on what is chosen, an error, the keys."""

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
        """Lay the parts down."""
        yield self._lead
        yield from self.parts()
        yield self._about
        yield self._error
        yield self._keys

    def parts(self) -> list[Widget]:
        """Return what is answered with."""
        return []

    def lead(self, text: str | Content) -> None:
        """Ask."""
        self._lead.update(text if isinstance(text, Content) else Content(clean(text)))

    def about(self, text: str | Content) -> None:
        """Say what is under the cursor."""
        self._about.update(text if isinstance(text, Content) else Content(clean(text)))

    def keys(self, text: str) -> None:
        """Say what keys do."""
        self._keys.update(Content(clean(text)))

    def say(self, text: str, *, quiet: bool = False) -> None:
        """Say what went wrong (or, quietly, what goes on); "" takes it away."""
        text = text[:1].upper() + text[1:]
        if text and not quiet:
            text = f"! {text}"
        self._error.update(Content(clean(text)))
        self._error.set_class(quiet, "-quiet")
        self._error.display = bool(text)
        self._about.display = quiet or not text

    def back(self) -> bool:
        """Take one step back within the page; whether there was one."""
        return False
