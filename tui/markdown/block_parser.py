"""Parsing Markdown into blocks, with the places where parsing of a growing text can resume.

Blank lines between list items and the numbers of items are kept as written, so that no block depends on
text after its own block, item, row or line of code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tui.markdown.blocks import Block, Cell, Look
from tui.markdown.parser import CONTINUES, parser, words

if TYPE_CHECKING:
    from markdown_it.token import Token

BULLETS = ("• ", "◦ ", "▪ ")
QUOTE_BAR = "▌ "
BETWEEN = "\t"
"""Separates two cells in the text of a row; it is not shown."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The context that the parser needs to resume.

    `lead` are the first lines of the table (two) or code block (one) that continues, and `of` is the
    offset of its start. `number` is the number of the next list item (0 for bullets).
    """

    lead: str = ""
    of: int = -1
    number: int | None = None


class Break(NamedTuple):
    """A place where parsing can resume: offset in the text, number of blocks before it, context."""

    at: int
    above: int
    resume: Resume


START = Break(0, 0, Resume())


@dataclass(slots=True)
class _Open:
    """An open quote, list or item.

    `number` is the number of a list's next item, None for bullets; `used` is set once it has a block.
    """

    kind: str
    first: str = ""
    rest: str = ""
    number: int | None = None
    used: bool = False
    line: int = 0


class BlockParser:
    """A parsed text: its `blocks`, its `breaks`, and the link references that it defines.

    `text` is the whole text. Parsing begins at `place`, with the link `references` (by label) that are
    defined before it.
    """

    def __init__(
        self,
        text: str,
        place: Break | None = None,
        references: Mapping[str, Any] | None = None,
    ) -> None:
        self.blocks: list[Block] = []
        self.breaks: list[Break] = []
        at, self._above, self._resume = place or START
        read = self._resume.lead + text[at:]
        self._shift = at - len(self._resume.lead)
        self._lines = read.split("\n")
        self._lead = self._resume.lead.count("\n")
        self._starts = [self._shift]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._before = text[text.rfind("\n", 0, max(0, at - 1)) + 1 : max(0, at - 1)]
        self._open: list[_Open] = []
        self._fresh = False  # a block was opened at the top and has no block yet
        self._kind, self._of, self._row_lead = "text", -1, ""
        self._row: list[tuple[str, str, tuple[Look, ...], str]] = []
        known = dict(references or {})
        within = self._resume.number is not None or self._lead == 1
        environment: dict[str, Any] = {"references": dict(known), CONTINUES: within}
        for token in parser().parse(read, environment):
            take: Callable[[Token], None] | None = getattr(self, f"_on_{token.type}", None)
            if take is not None:
                take(token)
        self.references = {
            label: known.get(label) or found | {"at": self._starts[found["map"][0]]}
            for label, found in environment["references"].items()
        }

    # --- places ----------------------------------------------------------------------------

    def _range(self, first: int, last: int) -> tuple[int, int]:
        """Return the offsets of lines in the text, without trailing blank lines and newline."""
        last = min(last, len(self._lines))
        while last > first + 1 and not self._lines[last - 1].strip():
            last -= 1
        return self._starts[first], max(self._starts[first], self._starts[last] - 1)

    def _blank_before(self, line: int) -> bool:
        above = self._lines[line - 1] if line else self._before
        return not above.strip(" \t>")

    def _break(self, line: int, resume: Resume | None = None) -> None:
        """Record that parsing can resume at this line, unless it is part of the lead."""
        if line >= self._lead:
            above = self._above + len(self.blocks)
            self.breaks.append(Break(self._starts[line], above, resume or Resume()))

    def _begin(self, token: Token) -> int:
        """Return the line of a block; parsing can resume there if it is not in a container."""
        line = token.map[0] if token.map else 0
        if token.level == 0:
            self._break(line)
            self._fresh = True
        return line

    # --- adding blocks -----------------------------------------------------------------------

    def _add(self, kind: str, line: int, text: str, source: tuple[int, int], **more: Any) -> None:
        """Add the first block of a Markdown block that begins at a line."""
        gap: str | None = None
        if self._fresh:
            gap = "" if self.blocks or self._above else None
        elif self._blank_before(line):
            gap = "".join(item.rest for item in self._open if item.used).rstrip()
        self._fresh = False
        self._add_more(kind, text, source, gap=gap, **more)

    def _add_more(self, kind: str, text: str, source: tuple[int, int], **more: Any) -> None:
        """Add a block with the prefix of its containers."""
        first = "".join(item.rest if item.used else item.first for item in self._open)
        rest = "".join(item.rest for item in self._open)
        for item in self._open:
            item.used = True
        self.blocks.append(Block(kind, text, source, first=first, rest=rest, **more))

    def _on_paragraph_open(self, token: Token) -> None:
        self._begin(token)

    def _on_heading_open(self, token: Token) -> None:
        self._begin(token)
        self._kind = token.tag

    def _on_inline(self, token: Token) -> None:
        text, looks = words(token)
        if self._kind in ("head", "row"):
            align = self._row.pop()[0]
            self._row.append((align, text, looks, token.content))
            return
        first, last = token.map or (0, 1)
        self._add(self._kind, first, text, self._range(first, last), looks=looks)
        self._kind = "text"

    def _on_hr(self, token: Token) -> None:
        line = self._begin(token)
        self._add("rule", line, "", self._range(line, line + 1))

    # --- quotes and lists --------------------------------------------------------------------

    def _on_blockquote_open(self, token: Token) -> None:
        self._begin(token)
        self._open.append(
            _Open("quote", QUOTE_BAR, QUOTE_BAR, line=token.map[0] if token.map else 0)
        )

    def _on_bullet_list_open(self, token: Token) -> None:
        self._open_list(token, None)

    def _on_ordered_list_open(self, token: Token) -> None:
        self._open_list(token, int(token.attrs.get("start", 1)))

    def _open_list(self, token: Token, number: int | None) -> None:
        goes_on = token.level == 0 and not self.breaks and self._resume.number is not None
        if goes_on and number is not None:
            number = self._resume.number
        self._fresh = self._fresh or (token.level == 0 and not goes_on)
        self._open.append(_Open("list", number=number, used=goes_on))

    def _on_list_item_open(self, token: Token) -> None:
        line = token.map[0] if token.map else 0
        within = self._open[-1]
        if len(self._open) == 1:
            first = not within.used
            self._break(line, None if first else Resume(number=within.number or 0))
        within.used = True
        if within.number is None:
            depth = sum(item.kind == "list" and item.number is None for item in self._open)
            sign = BULLETS[(depth - 1) % len(BULLETS)]
        else:
            sign = f"{within.number}. "
            within.number += 1
        self._open.append(_Open("item", sign, " " * len(sign), line=line))

    def _close(self, token: Token) -> None:
        del token
        item = self._open[-1]
        if not item.used and item.kind != "list":
            self._add("text", item.line, "", self._range(item.line, item.line + 1))
        self._open.pop()

    _on_list_item_close = _on_blockquote_close = _close
    _on_bullet_list_close = _on_ordered_list_close = _close

    # --- code --------------------------------------------------------------------------------

    def _on_fence(self, token: Token) -> None:
        self._add_code(token, (token.info.split() or [""])[0], 1)

    def _on_code_block(self, token: Token) -> None:
        self._add_code(token, "", 0)

    def _add_code(self, token: Token, language: str, opening: int) -> None:
        line = self._begin(token)
        goes_on = line < self._lead
        of = self._resume.of if goes_on else self._starts[line]
        lead = self._lines[line] + "\n"
        if goes_on and not token.content:
            return  # the block was already complete
        for number, code in enumerate(token.content.removesuffix("\n").split("\n")):
            at = min(line + opening + number, len(self._lines) - 1)
            if token.level == 0 and opening and (number or goes_on):
                self._break(at, Resume(lead, of))
            source = (self._starts[at], self._starts[at] + len(self._lines[at]))
            more = {"of": of, "language": language}
            if number or goes_on:
                self._add_more("code", code.expandtabs(4), source, **more)
            else:
                self._add("code", line, code.expandtabs(4), source, **more)

    # --- tables ------------------------------------------------------------------------------

    def _on_table_open(self, token: Token) -> None:
        line = self._begin(token)
        goes_on = line < self._lead
        self._of = self._resume.of if goes_on else self._starts[line]
        self._row_lead = "" if token.level else "\n".join([*self._lines[line : line + 2], ""])

    def _on_tr_open(self, token: Token) -> None:
        self._row, self._kind = [], "row"
        self._line = token.map[0] if token.map else 0

    def _on_th_open(self, token: Token) -> None:
        self._kind = "head"
        self._on_td_open(token)

    def _on_td_open(self, token: Token) -> None:
        align = str(token.attrs.get("style", "")).rpartition(":")[2] or "left"
        self._row.append((align, "", (), ""))

    def _on_tr_close(self, token: Token) -> None:
        del token
        line, kind = self._line, self._kind
        self._kind = "text"
        if kind == "row" and self._row_lead:
            self._break(line, Resume(self._row_lead, self._of))
        if line < self._lead:
            self._fresh = False
            return  # the header row was added before
        text, looks, cells = self._cells(line)
        more = {"looks": looks, "of": self._of, "cells": cells}
        if kind == "head":
            self._add(kind, line, text, self._range(line, line + 1), **more)
        else:
            self._add_more(kind, text, self._range(line, line + 1), **more)

    def _cells(self, line: int) -> tuple[str, tuple[Look, ...], tuple[Cell, ...]]:
        """Return a row's text and styles, and the positions of its cells in the text and the source."""
        text, at = "", 0
        looks: list[Look] = []
        cells: list[Cell] = []
        for align, shown, own, written in self._row:
            text += BETWEEN if cells else ""
            source = None
            for sought in (written, written.replace("|", r"\|")):
                if written and (found := self._lines[line].find(sought, at)) >= 0:
                    at = found + len(sought)
                    source = (self._starts[line] + found, self._starts[line] + at)
                    break
            begin = len(text)
            cells.append(Cell(begin, begin + len(shown), source, align))
            looks += [look._replace(start=begin + look.start, end=begin + look.end) for look in own]
            text += shown
        return text, tuple(looks), tuple(cells)
