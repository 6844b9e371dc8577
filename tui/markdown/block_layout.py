"""Vertical layout of blocks at a width: their heights, and the content of each row.

Only new blocks are laid out, and tables whose columns they widen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.markdown.blocks import Block
from tui.markdown.wrapping import WrappedRow, columns_of, lay_out

if TYPE_CHECKING:
    from textual.selection import Selection


class BlockLayout:
    """The rows of a list of blocks.

    `tops[n]` is the first row of block n, `begins[n]` its offset in the joined text and `lines[n]` its
    first line there. Each has one entry more, for the end.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.width = 0
        self.tops, self.begins, self.lines = [0], [0], [0]
        self._rows: list[list[WrappedRow]] = []
        self._columns: dict[int, tuple[int, ...]] = {}
        self._around: dict[int, tuple[int, list[str]]] = {}

    @property
    def height(self) -> int:
        """The number of rows."""
        return self.tops[-1]

    @property
    def text(self) -> str:
        """The text of all blocks, joined by line breaks."""
        return "\n".join(block.text for block in self.blocks)

    def put(self, stay: int, new: Sequence[Block]) -> int:
        """Replace all blocks after the first `stay`; return the first row that may have changed."""
        self.blocks[stay:] = new
        self._around.clear()
        begin = stay
        for first, end in self._tables(stay):
            columns = columns_of(self.blocks[first:end], self.width) if self.width else ()
            if self._columns.get(self.blocks[first].of) != columns:
                self._columns[self.blocks[first].of] = columns
                begin = min(begin, first)
        self._lay_from(begin)
        return self.tops[begin]

    def resize(self, width: int) -> bool:
        """Lay everything out at this width; return whether it is a new one."""
        if width == self.width:
            return False
        self.width = width
        self._columns.clear()
        self.put(0, list(self.blocks))
        return True

    def at(self, y: int) -> tuple[int, WrappedRow] | None:
        """Return the block at row `y` and its row; None below the end."""
        if not 0 <= y < self.height:
            return None
        number = bisect_right(self.tops, y) - 1
        return number, self._rows[number][y - self.tops[number]]

    def selected(self, selection: Selection) -> tuple[int, int]:
        """Return a mouse selection as offsets in the joined text."""
        start, end = selection
        whole = max(0, self.begins[-1] - 1)
        return (
            0 if start is None else self._offset(start.x, start.y),
            whole if end is None else self._offset(end.x, end.y),
        )

    def _offset(self, column: int, line: int) -> int:
        if line >= self.lines[-1]:
            return max(0, self.begins[-1] - 1)
        number = bisect_right(self.lines, line) - 1
        text, at = self.blocks[number].text, 0
        for _ in range(line - self.lines[number]):
            at = text.index("\n", at) + 1
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        return self.begins[number] + min(at + max(column, 0), end)

    def code_around(self, number: int) -> tuple[int, list[str]]:
        """Return the first block of the code block that contains block `number`, and its lines."""
        of = self.blocks[number].of
        if of not in self._around:
            first, end = self._group(number)
            self._around[of] = first, [block.text for block in self.blocks[first:end]]
        return self._around[of]

    def _group(self, number: int) -> tuple[int, int]:
        of = self.blocks[number].of
        first, end = number, number + 1
        while first and self.blocks[first - 1].of == of:
            first -= 1
        while end < len(self.blocks) and self.blocks[end].of == of:
            end += 1
        return first, end

    def _tables(self, begin: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        while begin < len(self.blocks):
            if self.blocks[begin].cells:
                found.append(self._group(begin))
                begin = found[-1][1]
            else:
                begin += 1
        return found

    def _lay_from(self, begin: int) -> None:
        del self._rows[begin:], self.tops[begin + 1 :], self.begins[begin + 1 :]
        del self.lines[begin + 1 :]
        for block in self.blocks[begin:]:
            rows = lay_out(block, self.width, self._columns.get(block.of, ())) if self.width else []
            self._rows.append(rows)
            self.tops.append(self.tops[-1] + len(rows))
            self.begins.append(self.begins[-1] + len(block.text) + 1)
            self.lines.append(self.lines[-1] + block.lines)
