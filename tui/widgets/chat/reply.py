"""A reply: laid down block by block as it is written, as Markdown from its first word on.

A block that is done is never touched again; at the end the whole is read once more, and only what it
makes otherwise is laid down anew. A reply without any Markdown in it stays as it is, line by line.
"""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult
from textual.containers import Vertical

from memory.i18n.i18n import tr
from tui.markdown.blocks import Block
from tui.markdown.incremental import IncrementalParser, whole
from tui.markdown.view import MarkdownView
from tui.terminal.sanitize import clean

LONG = 8000
"""Characters from which on the whole is read in a thread."""


class Reply(Vertical):
    """The reply of one turn; `text` is what the person has of it."""

    DEFAULT_CSS = """
    Reply { height: auto; width: 1fr; }
    """

    def __init__(self, text: str | None = None) -> None:
        super().__init__()
        self.text = "" if text is None else clean(text)
        self._growing = IncrementalParser()
        waiting = [Block("waiting", "…", (0, 0))]
        self.page = MarkdownView(waiting if text is None else _blocks(self.text))

    def compose(self) -> ComposeResult:
        """Lay the page down."""
        yield self.page

    def append(self, text: str) -> None:
        """Add a block that passed the gate."""
        if not self.text:
            text = text.lstrip("\n")
        if not text:
            return
        self.text += text
        stay = self._growing.append(text)
        self.page.put(stay, self._growing.blocks[stay:])

    async def finish(self, text: str) -> None:
        """Show the reply as it was recorded."""
        self.text = clean(text)
        if len(self.text) < LONG:
            blocks = _blocks(self.text)
        else:
            blocks = await asyncio.to_thread(_blocks, self.text)
        stay = self._growing.finish(self.text, blocks)
        if stay < max(len(blocks), len(self.page.blocks)):
            self.page.put(stay, blocks[stay:])
        self.page.settle()


def _blocks(text: str) -> list[Block]:
    return whole(text) if text else [Block("waiting", tr("(nothing was said)"), (0, 0))]
