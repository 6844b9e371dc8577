"""Incremental parsing of a reply that is streaming.

Only the text after the last place where parsing can resume is parsed again: the last paragraph, item,
row or line of code. Text that does not look like Markdown is not parsed. At the end the complete text
is parsed, for example for links that are defined below their use; unchanged blocks are kept.
"""

from __future__ import annotations

import re
from typing import Any

from tui.markdown.block_parser import START, BlockParser
from tui.markdown.blocks import Block, plain_blocks
from tui.markdown.parser import MARKDOWN_SIGNS

UNDECIDED_LINE = re.compile(r"[ \t>]*(?:[-=*_+#>`~|:][-=*_+#>`~|: \t]*|\d{1,9}[.)]?[ \t]*)")
"""An unfinished line that could become a rule, a list item, or the underline of a heading or table."""


def parse_blocks(text: str) -> list[Block]:
    """Return the blocks of a complete text."""
    return BlockParser(text).blocks if MARKDOWN_SIGNS.search(text) else plain_blocks(text)


class IncrementalParser:
    """A growing text; `blocks` are those of the text so far."""

    def __init__(self) -> None:
        self.text = ""
        self.blocks: list[Block] = []
        self._markdown = False
        self._place = START
        self._references: dict[str, Any] = {}

    def append(self, more: str) -> int:
        """Add text; return how many blocks are unchanged."""
        line = self.text.rfind("\n") + 1
        self.text += more
        if not self._markdown and MARKDOWN_SIGNS.search(self.text, line):
            self._markdown = True
            self._place = START
        if not self._markdown:
            above = max(0, len(self.blocks) - 1)
            return self._lay(above, plain_blocks(self.text[line:], line))
        return self._read()

    def finish(self, text: str, blocks: list[Block]) -> int:
        """Take the finished text and its blocks; return how many blocks are unchanged."""
        self.text = text
        return self._lay(0, blocks)

    def _read(self) -> int:
        text, line = self.text, self.text.rfind("\n") + 1
        if UNDECIDED_LINE.fullmatch(text, line):
            text = text[:line]
        reading = BlockParser(text, self._place, self._references)
        stay = self._lay(self._place.above, reading.blocks)
        for place in reversed(reading.breaks):
            if text.find("\n", place.at) >= 0:  # the line is complete, so the break is final
                self._place = place
                break
        self._references = {
            label: found
            for label, found in reading.references.items()
            if found["at"] < self._place.at
        }
        return stay

    def _lay(self, above: int, new: list[Block]) -> int:
        """Replace the blocks after the first `above`; return how many are unchanged."""
        stay = above
        for one, other in zip(self.blocks[above:], new, strict=False):
            if one != other:
                break
            stay += 1
        self.blocks[stay:] = new[stay - above :]
        return stay
