"""The blocks of which a reply is laid down: a paragraph, an item, a line of code, a row of a table.

A block knows the words that are shown, how they look, what stands before them (bullets, the bars of
quotes) and where in the source they were written. Equal blocks look the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Look(NamedTuple):
    """How a run of words looks: `em`, `strong`, `s`, `code` or `link` (and where it leads)."""

    start: int
    end: int
    name: str
    link: str = ""


class Cell(NamedTuple):
    """A table's cell: its words in the block's text, its place in the source (None: not known)."""

    start: int
    end: int
    source: tuple[int, int] | None
    align: str = "left"


@dataclass(frozen=True, slots=True)
class Block:
    """What is laid down at once.

    `kind` is `text`, `code`, `head`, `row`, `rule`, `waiting`, or `h1` to `h6`; `source` are offsets in
    the reply's source. `first` and `rest` stand before its first and its further lines; `gap`, if not
    None, stands on a blank line above. Pieces of one block of code or one table share `of`, the offset
    where it begins, and `language` is that of the code.
    """

    kind: str
    text: str
    source: tuple[int, int]
    looks: tuple[Look, ...] = ()
    first: str = ""
    rest: str = ""
    gap: str | None = None
    of: int = -1
    language: str = ""
    cells: tuple[Cell, ...] = ()

    @property
    def lines(self) -> int:
        """Lines of the text, before any wrapping."""
        return self.text.count("\n") + 1


class Place(NamedTuple):
    """Words of a block and the part of the source that they were written in."""

    start: int
    end: int
    source: tuple[int, int]


def places(block: Block) -> Iterator[Place]:
    """Yield what stands where: the block as a whole, or each cell that is known."""
    if not block.cells:
        yield Place(0, len(block.text), block.source)
    for cell in block.cells:
        if cell.source is not None:
            yield Place(cell.start, cell.end, cell.source)


def plain_blocks(text: str, at: int = 0) -> list[Block]:
    """Return the lines of a text without Markdown as they are; it begins at offset `at`."""
    found = []
    for line in text.split("\n"):
        found.append(Block("text", line.expandtabs(8), (at, at + len(line))))
        at += len(line) + 1
    return found
