"""A reply's text as it grows, and the blocks of which it is laid down.

What can no longer change is read once; only what stands after the last safe place is read again: the
last paragraph, item, row or line of code. As long as nothing looks like Markdown the lines stay as they
are. At the end all of it is read as a whole, so that what is shown is what the text says, a link
defined below its use included; a block that is the same by then is never touched.
"""

from __future__ import annotations

import re
from typing import Any

from tui.markdown.block_parser import START, BlockParser
from tui.markdown.blocks import Block, plain_blocks
from tui.markdown.parser import SIGNS

UNDECIDED = re.compile(r"[ \t>]*(?:[-=*_+#>`~|:][-=*_+#>`~|: \t]*|\d{1,9}[.)]?[ \t]*)")
"""An unfinished line that may become anything: a rule, an item, what makes the line above a heading or
the head of a table."""


def whole(text: str) -> list[Block]:
    """Return the blocks of a finished text."""
    return BlockParser(text).blocks if SIGNS.search(text) else plain_blocks(text)


class IncrementalParser:
    """A text in the making; `blocks` are those of what has come so far."""

    def __init__(self) -> None:
        self.text = ""
        self.blocks: list[Block] = []
        self._markdown = False
        self._place = START
        self._references: dict[str, Any] = {}

    def append(self, more: str) -> int:
        """Take more text; returns how many blocks stay, those after them are new."""
        line = self.text.rfind("\n") + 1
        self.text += more
        if not self._markdown and SIGNS.search(self.text, line):
            self._markdown = True
            self._place = START
        if not self._markdown:
            above = max(0, len(self.blocks) - 1)
            return self._lay(above, plain_blocks(self.text[line:], line))
        return self._read()

    def finish(self, text: str, blocks: list[Block]) -> int:
        """Take the finished text and its blocks; returns how many stay, those after them are new."""
        self.text = text
        return self._lay(0, blocks)

    def _read(self) -> int:
        text, line = self.text, self.text.rfind("\n") + 1
        if UNDECIDED.fullmatch(text, line):
            text = text[:line]
        reading = BlockParser(text, self._place, self._references)
        stay = self._lay(self._place.above, reading.blocks)
        for place in reversed(reading.breaks):
            if text.find("\n", place.at) >= 0:  # a whole line: it begins there for good
                self._place = place
                break
        self._references = {
            label: found
            for label, found in reading.references.items()
            if found["at"] < self._place.at
        }
        return stay

    def _lay(self, above: int, new: list[Block]) -> int:
        """Put these blocks below the first `above`; those that were there already stay."""
        stay = above
        for one, other in zip(self.blocks[above:], new, strict=False):
            if one != other:
                break
            stay += 1
        self.blocks[stay:] = new[stay - above :]
        return stay
