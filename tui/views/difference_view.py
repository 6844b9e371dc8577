"""A difference in full: status, turn, contrast, and the effect of a training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len

from memory.difference import CONTRAST_LABELS, SCOPE_LABELS, MarkScope
from memory.i18n.interface_language import render, tr
from memory.kinds import in_words
from memory.reply_rules import rules_of
from tui.terminal.sanitize import padded
from tui.views.mark_status import mark_status

if TYPE_CHECKING:
    from memory.difference import Difference
    from tui.training.before_and_after import TrainingEffect

MIN_NAME_WIDTH = 10
"""Minimum width for the name of a row."""


def details(
    item: Difference, retained: frozenset[str], change: TrainingEffect | None
) -> Iterator[str]:
    """Yield the lines of a difference; `change` is the effect of the latest training."""
    status = mark_status(item, retained)
    facts = (
        item.id[:8],
        tr(item.moment),
        item.kind and in_words(item.kind),
        f"{item.at.astimezone():%Y-%m-%d %H:%M}",
        tr("version {number}", number=item.version),
        item.pinned and tr("pinned"),
        item.scope is not MarkScope.HERE and tr("for {scope}", scope=tr(SCOPE_LABELS[item.scope])),
    )
    yield " · ".join(fact for fact in facts if fact)
    yield f"{status.sign} {tr(status.meaning)}"
    if item.superseded_by:
        newer = item.superseded_by[:8]
        yield tr("superseded by {newer}: no longer recalled or trained on", newer=newer)
    contrast = item.contrast
    yield from _rows(
        (tr("asked"), item.asked),
        (tr("answered"), item.replied),
        *((tr(label), getattr(contrast, name)) for name, label in CONTRAST_LABELS.items()),
        (tr("note"), item.note),
        (tr("when"), item.condition),
        (tr("rules"), "; ".join(map(str, rules_of(item)))),
        (tr("quote"), item.span.quote if item.span else None),
    )
    if change is not None:
        yield ""
        yield from _change(change)


def _change(change: TrainingEffect) -> Iterator[str]:
    """Return the replies without and with the adapter, as the gate measured them."""
    lesson, at = change.fate, f"{change.at.astimezone():%Y-%m-%d %H:%M}"
    if change.published and change.adapter:
        yield tr("Effect of adapter {id} ({at}):", id=change.adapter[:8], at=at)
    else:
        yield tr("Effect of the training of {at} (not published):", at=at)
    other = tr(
        "also correct for {share} of the held-out rephrasings", share=f"{lesson.rephrasings:.0%}"
    )
    yield from _rows(
        (tr("before"), lesson.before or tr("(empty)")),
        (tr("after"), lesson.after or tr("(empty)")),
        ("", other if lesson.good else None),
        (tr("why"), render(lesson.cause)),
        (tr("try"), render(lesson.advice)),
    )


def _rows(*parts: tuple[str, str | None]) -> Iterator[str]:
    room = max(MIN_NAME_WIDTH, *(cell_len(tr(label)) + 1 for label in CONTRAST_LABELS.values()))
    for name, text in parts:
        if text:
            yield f"{padded(name, room)}{text}"
