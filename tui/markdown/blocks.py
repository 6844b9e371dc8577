"""The blocks of a laid-out reply: a paragraph, an item, a line of code, a row of a table.

A block has the text that is shown, its styles, its prefix (bullets, the bars of quotes) and its place
in the source. Equal blocks look the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Look(NamedTuple):
    """The style of a run of text: `em`, `strong`, `s`, `code`, or `link` with its address."""

    start: int
    end: int
    name: str
    link: str = ""


class Cell(NamedTuple):
    """A table cell: its range in the block's text, and in the source (None if unknown)."""

    start: int
    end: int
    source: tuple[int, int] | None
    align: str = "left"


@dataclass(frozen=True, slots=True)
class Block:
    """The smallest unit of layout.

    `kind` is `text`, `code`, `head`, `row`, `rule`, `waiting`, or `h1` to `h6`; `source` are offsets in
    the reply's source. `first` and `rest` are the prefixes of its first and further lines; `gap`, if
    not None, is the prefix of a blank line above. The blocks of one code block or table share `of`, the
    offset where it begins; `language` is that of the code.
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
        """Lines of the text before wrapping."""
        return self.text.count("\n") + 1


class Place(NamedTuple):
    """A range of a block's text and the source range that it came from."""

    start: int
    end: int
    source: tuple[int, int]


def places(block: Block) -> Iterator[Place]:
    """Yield the known places: the block as a whole, or each cell."""
    if not block.cells:
        yield Place(0, len(block.text), block.source)
    for cell in block.cells:
        if cell.source is not None:
            yield Place(cell.start, cell.end, cell.source)


def plain_blocks(text: str, at: int = 0) -> list[Block]:
    """Return the lines of a text without Markdown as blocks; the text begins at offset `at`."""
    found = []
    for line in text.split("\n"):
        found.append(Block("text", line.expandtabs(8), (at, at + len(line))))
        at += len(line) + 1
    return found
