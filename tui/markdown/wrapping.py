"""Wrapping of blocks into terminal rows: hanging indents and table columns.

A row records which part of its block is in which column. The height of a reply is known without drawing
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tui.markdown.blocks import Block

COLUMN_GAP = " │ "
"""Separates the columns of a table."""
NARROWEST = 3
_WORD = re.compile(r"\s*\S+")


class Words(NamedTuple):
    """A part of a block's text, by offsets, at a column of a row."""

    column: int
    start: int
    end: int


class WrappedRow(NamedTuple):
    """A row: its prefix and signs by column, and its words."""

    signs: tuple[tuple[int, str], ...]
    words: tuple[Words, ...]


def cells(text: str) -> int:
    """Return the columns that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def lay_out(block: Block, width: int, columns: Sequence[int] = ()) -> list[WrappedRow]:
    """Return the rows of a block; for a table's `columns` see `columns_of`."""
    rows = [] if block.gap is None else [WrappedRow(((0, block.gap),), ())]
    indent = cells(block.rest)
    room = max(1, width - indent)
    if block.kind == "rule":
        rows.append(WrappedRow(((0, block.first), (indent, "─" * room)), ()))
    elif block.cells and columns:
        rows += _table_row(block, columns, indent)
    elif block.cells:  # too narrow for columns: one cell per row
        for number, cell in enumerate(block.cells):
            for start, end in wrapped(block.text, room, cell.start, cell.end):
                first = block.rest if number else block.first
                rows.append(WrappedRow(((0, first),), (Words(indent, start, end),)))
    else:
        first, code = block.first, block.kind == "code"
        parts = folded(block.text, max(1, room - 3)) if code else wrapped(block.text, room)
        for start, end in parts:
            rows.append(WrappedRow(((0, first),), (Words(indent + 2 * code, start, end),)))
            first = block.rest
    return rows


def columns_of(rows: Sequence[Block], width: int) -> tuple[int, ...]:
    """Return the widths of a table's columns, the widest shrunk first; () if they do not fit."""
    count = max(len(row.cells) for row in rows)
    wanted = [1] * count
    for row in rows:
        for number, cell in enumerate(row.cells):
            wanted[number] = max(wanted[number], cells(row.text[cell.start : cell.end]))
    room = width - cells(rows[0].rest) - len(COLUMN_GAP) * (count - 1)
    if room < NARROWEST * count:
        return ()
    limit, left = room, room
    for number, want in enumerate(sorted(wanted)):  # narrow columns leave their room to wide ones
        limit = left // (count - number)
        if want > limit:
            break
        left -= want
    return tuple(min(want, limit) for want in wanted)


def _table_row(block: Block, columns: Sequence[int], indent: int) -> Iterator[WrappedRow]:
    laid = [
        list(wrapped(block.text, width, cell.start, cell.end))
        for cell, width in zip(block.cells, columns, strict=False)
    ]
    first = block.first
    for line in range(max(map(len, laid))):
        signs, found, at = [(0, first)], [], indent
        for number, (cell, width) in enumerate(zip(block.cells, columns, strict=False)):
            if number:
                signs.append((at, COLUMN_GAP))
                at += len(COLUMN_GAP)
            if line < len(laid[number]):
                start, end = laid[number][line]
                spare = width - cells(block.text[start:end])
                shift = {"right": spare, "center": spare // 2}.get(cell.align, 0)
                found.append(Words(at + shift, start, end))
            at += width
        yield WrappedRow(tuple(signs), tuple(found))
        first = block.rest
    if block.kind == "head":
        under = "─┼─".join("─" * width for width in columns)
        yield WrappedRow(((0, block.rest), (indent, under)), ())


def wrapped(
    text: str, width: int, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the parts of `text[start:end]` that fit the width, broken between words if possible."""
    end = len(text) if end is None else end
    while start <= end:
        line = text.find("\n", start, end)
        line = end if line < 0 else line
        yield from _wrapped_line(text, width, start, line)
        start = line + 1


def _wrapped_line(text: str, width: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    if cells(text[start:end]) <= width:
        yield start, end
        return
    begun = start
    taken = 0  # columns of the row so far
    reached = start
    for word in _WORD.finditer(text, start, end):
        size = cells(word[0])
        if taken + size <= width:
            taken, reached = taken + size, word.end()
            continue
        if reached > begun:
            yield begun, reached
            begun = word.end() - len(word[0].lstrip())
            size = cells(text[begun : word.end()])
        if size > width:  # a word that is longer than a row
            *full, (begun, reached) = folded(text, width, begun, word.end())
            yield from full
            size = cells(text[begun:reached])
        taken, reached = size, word.end()
    yield begun, reached


def folded(
    text: str, width: int, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the parts of `text[start:end]` that fit the width, broken anywhere."""
    from rich.cells import get_character_cell_size

    end = len(text) if end is None else end
    if text.isascii():
        yield from ((at, min(at + width, end)) for at in range(start, max(end, start + 1), width))
        return
    taken, begun = 0, start
    for at in range(start, end):
        size = get_character_cell_size(text[at])
        if taken + size > width and at > begun:
            yield begun, at
            taken, begun = 0, at
        taken += size
    yield begun, end
