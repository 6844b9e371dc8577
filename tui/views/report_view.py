"""A training report as coloured lines: the verdict, then details.

Pure functions of a report, a width and the colours. Signs carry the same meaning as colours.
`tui/cli/print_report.py` prints it; `trainer/report/page.py` is the HTML page.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from textual.content import Content

from memory.i18n.interface_language import decimal, render, tr, trn
from trainer.report.report import FATE_LABELS
from trainer.stages import by_stage, grouped
from tui.terminal.sanitize import clean, one_line, padded

if TYPE_CHECKING:
    from trainer.report.report import Attempt, Change, Fate, Measure, Point, Report

Colours = Mapping[str, str]
"""The theme's: accent, muted, success, warning, error, line."""

LABEL_WIDTH = 8
"""Columns for the name of a row (before, after)."""
SHOWN_CHANGES = 5
MAX_BAR_WIDTH = 20
_GOOD, _BAD = ("✓", "success"), ("✗", "error")
_VERDICTS = {
    "published": _GOOD,
    "practised": _GOOD,
    "nothing": ("·", "muted"),
    "rejected": _BAD,
    "failed": _BAD,
}


def report_view(report: Report, width: int, colours: Colours) -> Content:
    """Return the report, at most `width` columns wide."""
    parts = [
        list(_verdict(report, width, colours)),
        list(_curves(report.curve, width, colours)),
        list(_fates(report, width, colours)),
        list(_gate(report, width, colours)),
        list(_beside(report, width, colours)),
        list(_moved(report.changes, width, colours)),
        list(_attempts(report, width, colours)),
        list(_advice(report, width, colours)),
        list(_times(report, width, colours)),
    ]
    lines: list[Content] = []
    for part in parts:
        if part:
            lines += [*([Content("")] if lines else []), *part]
    return Content("\n").join(lines)


def _verdict(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    sign, shade = _VERDICTS[report.verdict]
    head = Content.styled(f"{sign} {_word(report.verdict)}", f"bold {colours[shade]}")
    yield head
    yield from _wrapped(render(report.sentence), width, "  ", "")
    for note in report.notes:
        yield from _wrapped(render(note), width, "! ", colours["warning"])


def _word(verdict: str) -> str:
    return {
        "published": tr("Published: the adapter is now in use"),
        "practised": tr("Practice run: nothing was published"),
        "nothing": tr("Nothing to train"),
        "rejected": tr("Rejected: current adapter unchanged"),
        "failed": tr("Failed: current adapter unchanged"),
    }[verdict]


def _curves(curve: tuple[Point, ...], width: int, colours: Colours) -> Iterator[Content]:
    if not curve:
        return
    from tui.training.progress import sparkline

    room = max(8, min(60, width - 30))
    fell = decimal(f"{curve[0].loss:.2f} → {curve[-1].loss:.2f}")
    rows = (
        (tr("loss"), [point.loss for point in curve], fell),
        (
            tr("learned"),
            [point.learnt for point in curve],
            trn(
                "{share} in {n} step", "{share} in {n} steps", curve[-1].step,
                share=f"{curve[-1].learnt:.0%}",
            ),
        ),
    )  # fmt: skip
    for name, values, said in rows:
        yield Content.assemble(
            (padded(one_line(name, LABEL_WIDTH), LABEL_WIDTH), colours["muted"]),
            (sparkline(tuple(values), room), colours["accent"]),
            (f"  {said}", colours["muted"]),
        )


def _fates(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    if not report.fates:
        return
    yield _heading(tr("Your marks"), colours)
    # A question asked in its thread and alone, with one outcome, is shown once.
    times = Counter(report.fates)
    for number, (fate, count) in enumerate(times.items()):
        if number:
            yield Content("")
        yield from _fate(fate, count, width, colours)


def _fate(fate: Fate, count: int, width: int, colours: Colours) -> Iterator[Content]:
    sign, shade = (_GOOD if fate.good else _BAD) if fate.trained else ("·", "muted")
    said = tr(FATE_LABELS[fate.fate]) + (f" ×{count}" if count > 1 else "") if fate.trained else ""
    asked = one_line(fate.asked, max(8, width - 4 - len(said)))
    gap = " " * max(2, width - 2 - Content(asked).cell_length - len(said))
    yield Content.assemble(
        (f"{sign} ", colours[shade]), (asked, "bold"), gap if said else "", (said, colours[shade])
    )
    if not fate.trained:
        left = tr(fate.fate)
        if fate.replaced_by:
            left = tr("superseded by {newer}", newer=fate.replaced_by[:8])
        yield from _wrapped(left, width, "  ", colours["muted"])
        return
    empty = tr("(empty)")
    rows = [(tr("before"), fate.before or empty, "muted"), (tr("after"), fate.after or empty, "")]
    if not fate.good:
        rows.append((tr("expected"), fate.expected, "success"))
    rows += [(tr("wrong"), f"{asked} → {said}", "warning") for asked, said in fate.reworded[:2]]
    if fate.cause:
        rows += [(tr("why"), render(fate.cause), ""), (tr("try"), render(fate.advice), "accent")]
    for name, text, style in rows:
        room = max(8, width - LABEL_WIDTH - 4)
        line = one_line(text, room) if style in ("muted", "warning") else None
        for at, part in enumerate([line] if line is not None else _lines(text, room)):
            label = (
                padded(one_line(name, LABEL_WIDTH), LABEL_WIDTH) if at == 0 else " " * LABEL_WIDTH
            )
            yield Content.assemble(
                ("  " + label + "  ", colours["muted"]), (part, colours[style] if style else "")
            )


def _gate(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    if not report.measures:
        return
    yield _heading(tr("Evaluation"), colours)
    for measure in report.measures:
        sign, shade = _judged(measure)
        first = True
        for line in _lines(render(measure.sentence), width - 2):
            lead = (f"{sign} ", colours[shade]) if first else "  "
            yield Content.assemble(lead, line)
            first = False


def _judged(measure: Measure) -> tuple[str, str]:
    return _GOOD if measure.passed else ("!", "warning") if measure.warned else _BAD


def _beside(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    if not report.beside:
        return
    yield _heading(tr("Comparison"), colours)
    names = [render(row.name) for row in report.beside]
    wide = min(16, max(Content(name).cell_length for name in names))
    bar = max(4, min(MAX_BAR_WIDTH, (width - wide - 18) // 2))
    heads = (tr("lessons"), tr("rephrasings"))
    yield Content.styled(
        " " * (wide + 4) + "  ".join(padded(one_line(head, bar + 5), bar + 5) for head in heads),
        colours["muted"],
    )
    for name, row in zip(names, report.beside, strict=True):
        parts: list[Content | str] = [f"  {padded(one_line(name, wide), wide)}  "]
        for share in (row.lessons, row.rephrasings):
            full = round(bar * min(1.0, max(0.0, share)))
            parts += [
                Content.styled("█" * full, colours["accent"]),
                Content.styled("░" * (bar - full), colours["line"]),
                f" {share:4.0%}  ",
            ]
        yield Content.assemble(*parts)


def _moved(changes: tuple[Change, ...], width: int, colours: Colours) -> Iterator[Content]:
    moved = [change for change in changes if not change.undecided]
    if not moved:
        return
    yield _heading(tr("Other answers that changed"), colours)
    for change in moved[:SHOWN_CHANGES]:
        yield Content.assemble(("~ ", colours["warning"]), one_line(change.asked, width - 2))
        if change.after:
            for name, text in ((tr("before"), change.before), (tr("after"), change.after)):
                label = f"  {padded(one_line(name, LABEL_WIDTH), LABEL_WIDTH)}  "
                yield Content.styled(
                    label + one_line(text, max(8, width - LABEL_WIDTH - 4)), colours["muted"]
                )
    if (more := len(moved) - SHOWN_CHANGES) > 0:
        yield Content.styled(
            trn("~ and {n} more answer", "~ and {n} more answers", more), colours["muted"]
        )


def _attempts(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    if len(report.attempts) < 2:
        return
    yield _heading(tr("Attempts"), colours)
    for one in report.attempts:
        sign, shade = ("◆", "accent") if one.chosen else _GOOD if one.passed else _BAD
        yield Content.assemble((f"{sign} ", colours[shade]), one_line(_try(one), width - 2))
        if one.change:
            yield from _wrapped(render(one.change), width, "  ", colours["muted"])
        if not one.passed:
            yield from _wrapped(render(one.sentence), width, "  ", colours["muted"])


def _try(one: Attempt) -> str:
    head = tr("learning rate {rate}, seed {seed}", rate=decimal(f"{one.rate:g}"), seed=one.seed)
    if not one.steps:
        return tr("{head}: failed", head=head)
    steps = trn("{n} step", "{n} steps", one.steps)
    return tr(
        "{head}, {steps}: lessons {lessons}, rephrasings {other}",
        head=head, steps=steps, lessons=f"{one.lessons:.0%}", other=f"{one.rephrasings:.0%}",
    )  # fmt: skip


def _advice(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    for sentence in report.advice:
        yield from _wrapped(render(sentence), width, "→ ", colours["accent"])


def _times(report: Report, width: int, colours: Colours) -> Iterator[Content]:
    if not report.phases:
        return
    if report.estimated:
        yield from _estimated(report, colours)
        return
    took = ", ".join(
        f"{tr(name)} {decimal(f'{spent:.1f}')}" for name, spent in report.phases if spent > 0.05
    )
    seconds = decimal(f"{report.seconds:.1f}")
    said = tr("{seconds} s in total: {parts}", seconds=seconds, parts=took)
    yield from _wrapped(said, width, "", colours["muted"])


def _estimated(report: Report, colours: Colours) -> Iterator[Content]:
    """Yield a table of the estimated and actual time of each part."""
    from tui.training.progress import clock

    guessed, took = grouped(dict(report.estimated)), dict(grouped(by_stage(report.phases)))
    rows = [(tr(name), expected, took[name]) for name, expected in guessed]
    rows.append((tr("total"), sum(dict(guessed).values()), report.seconds))
    heads = (tr("estimated"), tr("took"))
    wide = max(Content(name).cell_length for name, *_ in rows)
    columns = [max(7, Content(head).cell_length) for head in heads]
    yield _heading(tr("Time"), colours)
    first = "  ".join(
        " " * (column - Content(head).cell_length) + head
        for head, column in zip(heads, columns, strict=True)
    )
    yield Content.styled(f"{' ' * (wide + 2)}  {first}", colours["muted"])
    for name, *seconds in rows:
        times = "  ".join(
            clock(value).rjust(column) for value, column in zip(seconds, columns, strict=True)
        )
        yield Content(f"  {padded(name, wide)}  {times}")
    if len(report.attempts) > 1:
        said = trn("with {n} attempt", "with {n} attempts", len(report.attempts))
        yield Content.styled(f"  {said}", colours["muted"])


def _heading(text: str, colours: Colours) -> Content:
    return Content.styled(text, f"bold {colours['accent']}")


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(clean(text).split()), max(8, width)) or [""]


def _wrapped(text: str, width: int, lead: str, style: str) -> Iterator[Content]:
    for number, line in enumerate(_lines(text, width - len(lead))):
        yield Content.styled((lead if number == 0 else " " * len(lead)) + line, style)
