"""What a night found, for a person to read: a frozen value, JSON, and text for the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["published", "rejected", "nothing", "failed"]
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of the gate beside its threshold; `sentence` says it in words."""

    name: str
    value: float
    threshold: float
    passed: bool
    sentence: str
    drift: bool = False
    """Whether it measures what must not change (else what must be learnt)."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one lesson: the reply before (base alone) and after (with the adapter).

    `kind` is contrast, hold or naming; `fate` learnt, failing, superseded or too long.
    """

    difference: str
    kind: str
    asked: str
    expected: str
    before: str
    after: str
    fate: str
    rephrasings: float = 1.0
    """Share of its held-out rephrasings that were answered likewise."""


@dataclass(frozen=True, slots=True)
class Change:
    """An unrelated question whose answer moved."""

    asked: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Point:
    """One training step."""

    step: int
    loss: float
    learnt: float


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a night. `seconds` in all, `phases` each one's seconds."""

    verdict: Verdict
    sentence: str
    started: datetime
    seconds: float
    model: str
    adapter: str | None = None
    scale: float = 1.0
    learning_rate: float = 0.0
    fates: tuple[Fate, ...] = ()
    measures: tuple[Measure, ...] = ()
    changes: tuple[Change, ...] = ()
    curve: tuple[Point, ...] = ()
    phases: tuple[tuple[str, float], ...] = ()
    run: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {**asdict(self), "started": self.started.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> Report:
        """Return the report that `to_json` described (a mapping or its JSON text)."""
        values: dict[str, Any] = json.loads(data) if isinstance(data, str) else dict(data)
        return cls(
            **{
                **values,
                "started": datetime.fromisoformat(values["started"]),
                "fates": tuple(Fate(**item) for item in values["fates"]),
                "measures": tuple(Measure(**item) for item in values["measures"]),
                "changes": tuple(Change(**item) for item in values["changes"]),
                "curve": tuple(Point(**item) for item in values["curve"]),
                "phases": tuple((str(name), float(took)) for name, took in values["phases"]),
            }
        )

    def to_text(self, width: int = 80) -> str:
        """Return the report as plain text, at most `width` columns where words allow."""
        lines = [f"{self.verdict.upper()}  {self.sentence}"]
        if self.curve:
            lines += ["", *curve_lines(self.curve, width)]
        if self.fates:
            lines.append("")
        for fate in self.fates:
            mark = {"learnt": "✓", "failing": "✗"}.get(fate.fate, "·")
            lines.append(f"{mark} {_cut(fate.asked, width - 2)}")
            lines.append(f"    before  {_cut(fate.before or '(empty)', width - 12)}")
            if fate.fate in ("learnt", "failing"):
                lines.append(f"    after   {_cut(fate.after or '(empty)', width - 12)}")
            else:
                lines.append(f"    {fate.fate}")
            if fate.fate == "failing":
                lines.append(f"    wanted  {_cut(fate.expected, width - 12)}")
        if self.measures:
            lines.append("")
        for measure in self.measures:
            lines.append(f"{'✓' if measure.passed else '✗'} {measure.sentence}")
        for change in self.changes[:5]:
            lines.append(f"~ {_cut(change.asked, width - 2)}")
            lines.append(f"    {_cut(f'{change.before} → {change.after}', width - 4)}")
        if self.phases:
            took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.phases)
            lines += ["", f"{self.seconds:.1f} s: {took}"]
        return "\n".join(lines)


def curve_lines(curve: tuple[Point, ...], width: int = 80) -> list[str]:
    """Return two lines that draw the loss and the share learnt over the steps."""
    room = max(8, min(width - 30, 60))
    losses = _sample([point.loss for point in curve], room)
    learnt = _sample([point.learnt for point in curve], room)
    top = max(losses) or 1.0
    return [
        f"loss    {_spark(losses, top)}  {curve[0].loss:.2f} → {curve[-1].loss:.2f}",
        f"learnt  {_spark(learnt, 1.0)}  {curve[-1].learnt:.0%} in {curve[-1].step} steps",
    ]


def _sample(values: list[float], room: int) -> list[float]:
    if len(values) <= room:
        return values
    return [values[index * (len(values) - 1) // (room - 1)] for index in range(room)]


def _spark(values: list[float], top: float) -> str:
    levels = len(_BARS) - 1
    return "".join(_BARS[max(0, min(levels, round(value / top * levels)))] for value in values)


def _cut(text: str, room: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= room else f"{line[: max(1, room - 1)]}…"


def latest(runs: Path) -> Report | None:
    """Return the report of the newest run under the folder `runs`; None when there is none."""
    for folder in sorted(runs.glob("*"), reverse=True):
        try:
            return Report.from_json((folder / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError):
            continue  # cut off before it was written, or from another version
    return None
