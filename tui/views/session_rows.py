"""Sessions as text: rows of the list, the end of a thread, search words highlighted in both.

Pure functions of sessions, turns, the theme's colours and the language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from memory.i18n.interface_language import tr, trn
from memory.kinds import in_words
from tui.terminal.sanitize import clean, one_line
from tui.views.session_text import moment

if TYPE_CHECKING:
    from memory.difference import Difference, Turn
    from memory.journal.tables.threads import Session

MAX_PREVIEW_CHARACTERS = 4000
"""Maximum number of characters of a message in the preview."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A row of the list: a thread, or a turn that was found."""

    session: Session
    turn: Turn | None = None


def entry(
    row: SessionRow, words: Sequence[str], width: int, colours: Mapping[str, str], *, here: bool
) -> Content:
    """Return a row as two lines: name and time, then text and counts.

    `here` marks the open thread. A thread shows its first message, a search result the match.
    """
    # Not the muted grey, which is not legible on the background of the highlighted row.
    muted, found = colours["secondary"], f"bold {colours['accent']}"
    item, turn = row.session, row.turn
    when = moment(turn.at if turn else item.at)
    marks = f"◆ {item.marks}  " if item.marks and not turn else ""
    count = "" if turn else trn("{n} turn", "{n} turns", item.turns)
    name = one_line(item.name, width - cell_len(when) - 4)
    room = width - 6 - cell_len(marks + count)
    in_name, below_words = ([], words) if turn else (words, [])
    said = f"{turn.asked} → {turn.replied}" if turn else item.asked or item.replied
    below = around(said, below_words, room)
    return Content.assemble(
        ("› " if here else "  ", found),
        lit(name, in_name, f"bold {colours['foreground']}", found),
        " " * (width - 2 - cell_len(name) - cell_len(when)),
        (f"{when}\n", muted),
        "    ",
        lit(below, below_words, muted, found),
        " " * (width - 4 - cell_len(below) - cell_len(marks + count)),
        (marks, colours["accent"]),
        (count, muted),
    )


def thread_end(
    turns: Sequence[Turn],
    marks: Sequence[Difference],
    words: Sequence[str],
    colours: Mapping[str, str],
) -> Content:
    """Return turns with their marks as text."""
    plain, muted, found = colours["foreground"], colours["muted"], f"bold {colours['accent']}"
    parts: list[Content] = []
    for turn in turns:
        asked, replied = (
            clean(text[:MAX_PREVIEW_CHARACTERS]) for text in (turn.asked, turn.replied)
        )
        parts += [lit(f"› {asked}\n", words, f"bold {plain}", found)]
        parts += [lit(f"{replied}\n", words, plain, found)]
        for item in marks:
            if item.turn == turn.id:
                sounds = f" → {item.contrast.sounds}" if item.contrast.sounds else ""
                said = one_line(
                    f"{in_words(item.kind) if item.kind else tr(item.moment)}{sounds}", 200
                )
                parts.append(Content.assemble(("◆ ", found), (f"{said}\n", muted)))
        parts.append(Content("\n"))
    return Content("").join(parts[:-1])


def around(text: str, words: Sequence[str], width: int) -> str:
    """Return one line of a text around the first of these words."""
    line = " ".join(clean(text).split())
    found = _any_of(words)
    match = found.search(line) if found is not None else None
    if match is not None and match.start() > width * 2 // 3:
        line = "…" + line[match.start() - width // 3 :]
    return one_line(line, width)


def lit(text: str, words: Sequence[str], style: str, found_style: str) -> Content:
    """Return a text in a style, with these words in another."""
    found = _any_of(words)
    parts: list[tuple[str, str]] = []
    end = 0
    for match in found.finditer(text) if found is not None else ():
        parts += [(text[end : match.start()], style), (match.group(), found_style)]
        end = match.end()
    return Content.assemble(*parts, (text[end:], style))


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None
