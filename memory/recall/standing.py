"""Marks about every reply, or all for which a condition holds, as a block of standing preferences.

Such a mark (scope EVERYWHERE or WHEN) is in the context of each message, in a block of its own with its
own token budget, whatever the message is about. The block says how to reply, derived from the contrast;
its text is quoted as data (`memory/text/quoting.py`). A preference with a condition comes after the
general ones and takes precedence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from memory.difference import Difference, MarkScope
from memory.text.quoting import quoted

if TYPE_CHECKING:
    from memory.settings.settings import RecallSettings

EXAMPLE = 160
"""Most characters of a quoted question, reply or better answer: an example, not a text to repeat."""


def standing_budget(settings: RecallSettings, budget: int) -> int:
    """Return the tokens for standing preferences, of `budget` for all that is recalled."""
    return min(settings.standing_budget, budget // 3)


def render_standing(
    items: Sequence[Difference], *, budget: int, count: Callable[[str], int], nonce: str
) -> tuple[str, tuple[Difference, ...]]:
    """Return the block of preferences, and those of `items` that are in it.

    Pinned ones come first, then the newest, until `count` (tokens of a text) reaches `budget`. One that
    does not fit with its example is put in without the question and the reply of it.
    """
    kept: list[Difference] = []
    brief: set[str] = set()
    block = ""
    for item in sorted(items, key=lambda item: (item.pinned, item.at), reverse=True):
        for shortened in (brief, brief | {item.id}):
            longer = _block(_in_order([*kept, item]), shortened, nonce)
            if count(longer) <= budget:
                kept.append(item)
                block, brief = longer, shortened
                break
    return block, tuple(_in_order(kept))


def _in_order(items: Sequence[Difference]) -> list[Difference]:
    return sorted(items, key=lambda item: (item.scope is MarkScope.WHEN, item.at))


def _block(items: Sequence[Difference], brief: Collection[str], nonce: str) -> str:
    lines = [f"<standing-preferences {nonce}>", "How the user wants replies to be."]
    for number, item in enumerate(items, start=1):
        fields = [("when", item.condition or ""), *_wanted(item, item.id in brief)]
        lines += [f"#{number} {name}: {quoted(text)}" for name, text in fields if text]
    lines.append(f"</standing-preferences {nonce}>")
    return "\n".join(lines)


def _wanted(item: Difference, brief: bool) -> list[tuple[str, str]]:
    """Return what a reply should be like, and an example of it, if `brief` only the better answer."""
    contrast = item.contrast
    said = [
        ("wanted", item.note or ""),
        ("rules", "; ".join(item.rules or ())),
        ("avoid", contrast.missed or ""),
        ("keep", contrast.lost or ""),
    ]
    if contrast.sounds and brief:
        said.append(("example", _short(contrast.sounds)))
    elif contrast.sounds:
        said += [
            ("example", _short(item.asked)),
            ("not", _short(item.replied)),
            ("but", _short(contrast.sounds)),
        ]
    return said


def _short(text: str) -> str:
    return text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 1]}…"
