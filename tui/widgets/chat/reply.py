"""A reply, rendered as Markdown block by block while it streams.

Finished blocks are not redrawn. At the end the complete reply is parsed again, and only changed blocks
are replaced. A reply without Markdown is shown line by line.
"""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult
from textual.containers import Vertical

from memory.i18n.interface_language import tr
from tui.markdown.blocks import Block
from tui.markdown.incremental import IncrementalParser, parse_blocks
from tui.markdown.view import MarkdownView
from tui.terminal.sanitize import clean

BACKGROUND_PARSE_CHARACTERS = 8000
"""Characters from which the finished reply is parsed in a thread."""


class Reply(Vertical):
    """The reply of one turn; `text` is its sanitized text so far."""

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
        """Compose the view."""
        yield self.page

    def append(self, text: str) -> None:
        """Add sanitized text."""
        if not self.text:
            text = text.lstrip("\n")
        if not text:
            return
        self.text += text
        stay = self._growing.append(text)
        self.page.put(stay, self._growing.blocks[stay:])

    async def finish(self, text: str) -> None:
        """Show the reply as it was stored."""
        self.text = clean(text)
        if len(self.text) < BACKGROUND_PARSE_CHARACTERS:
            blocks = _blocks(self.text)
        else:
            blocks = await asyncio.to_thread(_blocks, self.text)
        stay = self._growing.finish(self.text, blocks)
        if stay < max(len(blocks), len(self.page.blocks)):
            self.page.put(stay, blocks[stay:])
        self.page.redraw_code()


def _blocks(text: str) -> list[Block]:
    return parse_blocks(text) if text else [Block("waiting", tr("(empty reply)"), (0, 0))]
