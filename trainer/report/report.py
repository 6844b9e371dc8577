"""The report of a night, and its JSON.

`trainer/report/page.py` renders it as one self-contained HTML file, `tui` in the terminal;
`trainer/night/postmortem.py` explains failures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import PlainValidator, TypeAdapter, ValidationInfo

from memory.errors import FileError, HomeError, UnknownIdError
from memory.files.bounded_read import parse_object, read_json
from memory.sentence import NOTHING, Sentence, Stored, to_plain, verbatim

RunOutcome = Literal["published", "rejected", "practised", "nothing", "failed"]
GOOD, BAD = ("held", "learnt"), ("repelled", "lost again")
"""Fates of trained lessons: held as before, newly learned; not learned, learned before but lost."""
FATE_LABELS = {
    "held": "still learned",
    "learnt": "learned",
    "repelled": "not learned",
    "lost again": "no longer learned",
}
"""The message shown for each of these fates; a lesson that was left out has its own text."""

BesideKind = Literal["", "base", "recall", "current", "alone", "served"]
"""Kind of a row of the comparison: the base, recall, the current adapter, the new one alone and as
served; "" in reports of earlier versions."""


def _sentence(value: object, info: ValidationInfo) -> Sentence:
    if isinstance(value, Sentence):
        return value
    if not isinstance(value, str):
        raise ValueError("not a text")
    return info.context.sentence(value) if isinstance(info.context, Stored) else verbatim(value)


StoredSentence: TypeAlias = Annotated[Sentence, PlainValidator(_sentence)]
"""A sentence that is a text in `report.json`, and data under "sentences" there."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of the gate and its threshold; `sentence` describes both.

    `warned` is true if the threshold is missed by so little that the adapter may be published. `strict`
    is the value with every changed token counted, None if the measure has none.
    """

    name: str
    value: float
    threshold: float
    passed: bool
    sentence: StoredSentence
    drift: bool = False
    """Whether it measures what must not change, rather than what must be learned."""
    warned: bool = False
    strict: float | None = None

    @property
    def may_serve(self) -> bool:
        """Whether this measure allows the adapter to be published."""
        return self.passed or self.warned


@dataclass(frozen=True, slots=True)
class Fate:
    """The outcome of one lesson: the reply before (base alone) and after (with the adapter).

    `kind` is contrast, hold or naming. `fate` is held, learnt, repelled, lost again, or says why it was
    left out. `current` tells whether the previous adapter reproduces it, `recall` whether the base does
    with the difference in its context (None: not asked). `cause` and `advice` are set if it failed.
    """

    difference: str
    kind: str
    asked: str
    expected: str
    before: str
    after: str
    fate: str
    rephrasings: float = 1.0
    """Share of its held-out rephrasings with the expected reply."""
    current: bool | None = None
    recall: bool | None = None
    reworded: tuple[tuple[str, str], ...] = ()
    """Held-out rephrasings with another reply, and that reply."""
    cause: StoredSentence = NOTHING
    advice: StoredSentence = NOTHING
    replaced_by: str = ""
    """Id of the newer difference that replaces this one."""

    @property
    def trained(self) -> bool:
        """Whether it was trained, not left out."""
        return self.fate in (*GOOD, *BAD)

    @property
    def good(self) -> bool:
        """Whether the adapter reproduces it."""
        return self.fate in GOOD


@dataclass(frozen=True, slots=True)
class Change:
    """An unmarked question whose answer changed.

    `near` is true for a look-alike of a lesson; `undecided` if the base could also give this answer, so
    that the gate does not count it; `spread` if the answer has a lesson's words. `after` is "" if the
    answer was not generated.
    """

    asked: str
    before: str
    after: str
    near: bool = False
    undecided: bool = False
    spread: bool = False
    harm: str = ""
    """How it became worse: "refusal", "wrong" (it was right), "form" (empty or without an end)."""
    difference: str = ""
    """Id of the difference whose words it has."""


@dataclass(frozen=True, slots=True)
class Point:
    """One training step."""

    step: int
    loss: float
    learnt: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A row of the comparison with the baselines.

    It has the shares of lessons and of held-out rephrasings that get the expected reply.
    """

    name: StoredSentence
    lessons: float
    rephrasings: float
    kind: BesideKind = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trial or practice episode: the verdict of the gate, and the curves of its training.

    `margins` has (step, nats) for each difference: the lead of its expected reply, which is generated
    if that is above 0. `reason` is why the training ended: learnt, steps, time or stopped.
    """

    number: int
    rate: float
    seed: int
    steps: int
    reason: str
    passed: bool
    scale: float
    sentence: StoredSentence
    lessons: float
    rephrasings: float
    curve: tuple[Point, ...] = ()
    margins: dict[str, tuple[tuple[int, float], ...]] | None = None
    chosen: bool = False
    change: StoredSentence = NOTHING
    """What is different from the first trial."""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a night.

    `seconds` is the total time, `phases` the seconds of each phase, `estimated` the estimate before it
    started, by stage (`trainer/stages.py`). `notes` add to the verdict, `advice` says what to do next.
    """

    verdict: RunOutcome
    sentence: StoredSentence
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
    beside: tuple[Beside, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    notes: tuple[StoredSentence, ...] = ()
    advice: tuple[StoredSentence, ...] = ()
    estimated: tuple[tuple[str, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return to_plain({**values, "started": self.started.isoformat()})

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> Report:
        """Return the report that `to_json` wrote (a mapping or its JSON text).

        Unknown fields of other versions are ignored; missing ones get their default.

        Raises:
            ValueError: it is not a report.
        """
        record = parse_object(data) if isinstance(data, str) else data
        return _REPORT.validate_python(record, context=Stored(record))


_REPORT = TypeAdapter(Report)


def read_report(folder: Path) -> Report | None:
    """Return the report of the run in `folder`; None if there is none or it cannot be read."""
    try:
        return require_report(folder)
    except HomeError:
        return None


def require_report(folder: Path) -> Report:
    """Return the report of the run in `folder`.

    Raises:
        HomeError: the run was interrupted and has no report, or the report cannot be read.
    """
    path = folder / "report.json"
    try:
        return Report.from_json(read_json(path))
    except FileNotFoundError:
        raise HomeError(
            "the run {name} was interrupted and has no report; `discern report --list` shows the "
            "other runs",
            name=folder.name,
        ) from None
    except ValueError as error:  # also pydantic's
        cause = (
            error.cause if isinstance(error, FileError) else Sentence("it is not a training report")
        )
        raise HomeError(
            "cannot read {path}: {cause}; `discern report --list` shows the other runs",
            path=path,
            cause=cause,
        ) from error


def unreadable(folder: Path) -> Sentence:
    """Return why the report of the run in `folder` cannot be read; nothing if it can, or is missing."""
    try:
        require_report(folder)
    except HomeError as error:
        return error.sentence if os.path.lexists(folder / "report.json") else NOTHING
    return NOTHING


def latest(
    runs: Path, pass_over: Callable[[Sentence], object] = lambda said: None
) -> Report | None:
    """Return the newest report below the folder `runs`; None if there is none.

    `pass_over` is called with a sentence for every newer report that cannot be read.
    """
    for folder in folders(runs):
        if (found := read_report(folder)) is not None:
            return found
        if said := unreadable(folder):
            pass_over(said)
    return None


def every(runs: Path) -> list[tuple[Path, Report]]:
    """Return the folder and the report of every run that has one, the newest first."""
    found = ((folder, read_report(folder)) for folder in folders(runs))
    return [(folder, report) for folder, report in found if report is not None]


def folders(runs: Path) -> list[Path]:
    """Return the folders of all runs, the newest first."""
    return sorted((path for path in runs.glob("*") if path.is_dir()), reverse=True)


def find_run(runs: Path, name: str) -> Path:
    """Return the one run whose name starts with `name`; "last" is the newest, "-2" the one before.

    Raises:
        UnknownIdError: none does, or several do.
    """
    every = folders(runs)
    if name in ("last", "latest") and every:
        return every[0]
    if name.lstrip("-").isdigit() and name.startswith("-") and int(name[1:]) <= len(every):
        return every[int(name[1:]) - 1]
    found = [folder for folder in every if folder.name == name] or [
        folder for folder in every if name and folder.name.startswith(name)
    ]
    if not found:
        raise UnknownIdError(
            "no run starts with {name!r}; `discern report --list` shows all runs", name=name
        )
    if len(found) > 1:
        raise UnknownIdError(
            "several runs start with {name!r}; `discern report --list` shows all runs", name=name
        )
    return found[0]
