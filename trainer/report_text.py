"""A report as plain text for a terminal: verdict first, then what a person asks next.

Pure; plain characters only. Text of models and people is made safe where it is shown
(`tui/text.py`), here it is only put on one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.report import Attempt, Fate, Point, Report

BARS = "▁▂▃▄▅▆▇█"
MARKS = {"held": "✓", "learnt": "✓", "repelled": "✗", "lost again": "✗"}
SHOWN_CHANGES = 5


def report_text(report: Report, width: int = 80) -> str:
    """Return the report as plain text, at most `width` columns where words allow."""
    parts = [
        [f"{report.verdict.upper()}  {report.sentence}", *_wrapped(report.notes, "! ", width)],
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
    lines = [f"{MARKS.get(fate.fate, '·')} {one_line(fate.asked, width - 14):{width - 14}}"
             f"{fate.fate:>12}" if fate.trained else
             f"· {one_line(fate.asked, width - 2)}"]  # fmt: skip
    if not fate.trained:
        return [*lines, f"    {one_line(fate.fate, width - 4)}"]
    rows = [("before", fate.before or "(empty)"), ("after", fate.after or "(empty)")]
    if not fate.good:
        rows.append(("wanted", fate.expected))
    for asked, said in fate.reworded[:2]:
        rows.append(("but", f"{asked} → {said}"))
    if fate.cause:
        rows.append(("why", fate.cause))
        rows.append(("try", fate.advice))
    return lines + [f"    {name:8}{one_line(text, width - 12)}" for name, text in rows]


def _measure(item: object, width: int) -> str:
    from trainer.report import Measure

    assert isinstance(item, Measure)
    mark = "✓" if item.passed else "!" if item.warned else "✗"
    return "\n".join(_wrapped([item.sentence], f"{mark} ", width))


def _beside(report: Report) -> list[str]:
    if not report.beside:
        return []
    wide = max(len(row.name) for row in report.beside)
    head = f"  {'':{wide}}  lessons  rephrasings"
    return [head] + [
        f"  {row.name:{wide}}  {row.lessons:7.0%}  {row.rephrasings:11.0%}" for row in report.beside
    ]


def _changes(report: Report, width: int) -> list[str]:
    moved = [change for change in report.changes if not change.undecided]
    lines = []
    for change in moved[:SHOWN_CHANGES]:
        lines.append(f"~ {one_line(change.asked, width - 2)}")
        if change.after:
            lines.append(f"    {one_line(f'{change.before} → {change.after}', width - 4)}")
    if len(moved) > SHOWN_CHANGES:
        lines.append(f"~ and {len(moved) - SHOWN_CHANGES} more")
    return lines


def _attempts(attempts: Sequence[Attempt], width: int) -> list[str]:
    lines = []
    for one in attempts:
        mark = "◆" if one.chosen else "✓" if one.passed else "✗"
        head = f"{mark} run {one.number}  rate {one.rate:g}, seed {one.seed}, {one.steps} steps"
        learnt = f"lessons {one.lessons:.0%}, rephrasings {one.rephrasings:.0%}"
        lines.append(one_line(f"{head}: {learnt}" if one.steps else f"{head}: failed", width))
        if not one.passed:
            lines.append(f"    {one_line(one.sentence, width - 4)}")
    return lines


def _times(report: Report) -> list[str]:
    if not report.phases:
        return []
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.phases if seconds > 0.05)
    return [f"{report.seconds:.1f} s: {took}"]


def curve_lines(curve: Sequence[Point], width: int = 80) -> list[str]:
    """Return two lines that draw the loss and the share learnt over the steps."""
    room = max(8, min(width - 30, 60))
    losses = _sample([point.loss for point in curve], room)
    learnt = _sample([point.learnt for point in curve], room)
    return [
        f"loss    {_spark(losses, max(losses) or 1.0)}  {curve[0].loss:.2f} → {curve[-1].loss:.2f}",
        f"learnt  {_spark(learnt, 1.0)}  {curve[-1].learnt:.0%} in {curve[-1].step} steps",
    ]


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
        text = " ".join(sentence.split())
        lines += textwrap.wrap(
            text, width, initial_indent=mark, subsequent_indent=" " * len(mark)
        ) or [mark]
    return lines


def one_line(text: str, room: int) -> str:
    """Return the text on one line, cut to `room` columns."""
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: max(1, room - 1)]}…"
