"""A report as plain text for a terminal: verdict first, then what a person asks next.

Pure; plain characters only. Text of models and people is made safe where it is shown
(`tui/text.py`), here it is only put on one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory.language import decimal, tr, trn
from memory.retold import retold

if TYPE_CHECKING:
    from trainer.report import Attempt, Fate, Point, Report

BARS = "▁▂▃▄▅▆▇█"
MARKS = {"held": "✓", "learnt": "✓", "repelled": "✗", "lost again": "✗"}
SHOWN_CHANGES = 5


def report_text(report: Report, width: int = 80) -> str:
    """Return the report as plain text, at most `width` columns where words allow."""
    parts = [
        [
            f"{tr(report.verdict).upper()}  {retold(report.sentence)}",
            *_wrapped(report.notes, "! ", width),
        ],
        curve_lines(report.curve, width) if report.curve else [],
        [line for fate in report.fates for line in _fate(fate, width)],
        [_measure(item, width) for item in report.measures],
        _beside(report),
        _changes(report, width),
        _attempts(report.attempts, width) if len(report.attempts) > 1 else [],
        _wrapped(report.advice, "→ ", width),
        _times(report),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _fate(fate: Fate, width: int) -> list[str]:
    end = f"{tr(fate.fate):>12}"
    room = width - len(end) - 2
    lines = [f"{MARKS.get(fate.fate, '·')} {one_line(fate.asked, room):{room}}{end}"
             if fate.trained else
             f"· {one_line(fate.asked, width - 2)}"]  # fmt: skip
    if not fate.trained:
        return [*lines, f"    {one_line(retold(fate.fate), width - 4)}"]
    empty = tr("(empty)")
    rows = [(tr("before"), fate.before or empty), (tr("after"), fate.after or empty)]
    if not fate.good:
        rows.append((tr("wanted"), fate.expected))
    for asked, said in fate.reworded[:2]:
        rows.append((tr("but"), f"{asked} → {said}"))
    if fate.cause:
        rows.append((tr("why"), retold(fate.cause)))
        rows.append((tr("try"), retold(fate.advice)))
    return lines + [f"    {name:8}{one_line(text, width - 12)}" for name, text in rows]


def _measure(item: object, width: int) -> str:
    from trainer.report import Measure

    assert isinstance(item, Measure)
    mark = "✓" if item.passed else "!" if item.warned else "✗"
    return "\n".join(_wrapped([item.sentence], f"{mark} ", width))


def _beside(report: Report) -> list[str]:
    if not report.beside:
        return []
    names = [retold(row.name) for row in report.beside]
    wide = max(map(len, names))
    lessons, others = tr("lessons"), tr("rephrasings")
    return [f"  {'':{wide}}  {lessons}  {others}"] + [
        f"  {name:{wide}}  {row.lessons:{len(lessons)}.0%}  {row.rephrasings:{len(others)}.0%}"
        for name, row in zip(names, report.beside, strict=True)
    ]


def _changes(report: Report, width: int) -> list[str]:
    moved = [change for change in report.changes if not change.undecided]
    lines = []
    for change in moved[:SHOWN_CHANGES]:
        lines.append(f"~ {one_line(change.asked, width - 2)}")
        if change.after:
            lines.append(f"    {one_line(f'{change.before} → {change.after}', width - 4)}")
    if len(moved) > SHOWN_CHANGES:
        more = len(moved) - SHOWN_CHANGES
        lines.append("~ " + trn("and {n} more", "and {n} more", more))
    return lines


def _attempts(attempts: Sequence[Attempt], width: int) -> list[str]:
    lines = []
    for one in attempts:
        mark = "◆" if one.chosen else "✓" if one.passed else "✗"
        head = tr(
            "run {number}  rate {rate}, seed {seed}, {steps} steps",
            number=one.number, rate=f"{one.rate:g}", seed=one.seed, steps=one.steps,
        )  # fmt: skip
        learnt = tr(
            "lessons {lessons}, rephrasings {rephrasings}",
            lessons=f"{one.lessons:.0%}", rephrasings=f"{one.rephrasings:.0%}",
        )  # fmt: skip
        lines.append(one_line(f"{mark} {head}: {learnt if one.steps else tr('failed')}", width))
        if not one.passed:
            lines.append(f"    {one_line(retold(one.sentence), width - 4)}")
    return lines


def _times(report: Report) -> list[str]:
    if not report.phases:
        return []
    took = ", ".join(
        f"{tr(name)} {_seconds(seconds)}" for name, seconds in report.phases if seconds > 0.05
    )
    return [f"{_seconds(report.seconds)}: {took}"]


def _seconds(value: float) -> str:
    return tr("{number} s", number=decimal(f"{value:.1f}"))


def curve_lines(curve: Sequence[Point], width: int = 80) -> list[str]:
    """Return two lines that draw the loss and the share learnt over the steps."""
    room = max(8, min(width - 30, 60))
    losses = _sample([point.loss for point in curve], room)
    learnt = _sample([point.learnt for point in curve], room)
    first, last = curve[0].loss, curve[-1].loss
    return [
        f"{tr('loss'):8}{_spark(losses, max(losses) or 1.0)}  " + decimal(f"{first:.2f} → {last:.2f}"),
        f"{tr('learnt'):8}{_spark(learnt, 1.0)}  " + tr(
            "{share} in {steps} steps", share=f"{curve[-1].learnt:.0%}", steps=curve[-1].step
        ),
    ]  # fmt: skip


def _sample(values: list[float], room: int) -> list[float]:
    if len(values) <= room:
        return values
    return [values[index * (len(values) - 1) // (room - 1)] for index in range(room)]


def _spark(values: list[float], top: float) -> str:
    levels = len(BARS) - 1
    return "".join(BARS[max(0, min(levels, round(value / top * levels)))] for value in values)


def _wrapped(sentences: Sequence[str], mark: str, width: int) -> list[str]:
    import textwrap

    lines: list[str] = []
    for sentence in sentences:
        text = " ".join(retold(sentence).split())
        lines += textwrap.wrap(
            text, width, initial_indent=mark, subsequent_indent=" " * len(mark)
        ) or [mark]
    return lines


def one_line(text: str, room: int) -> str:
    """Return the text on one line, cut to `room` columns."""
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: max(1, room - 1)]}…"
