"""A recorded training: two attempts of the starter on six differences, the second published.

The events are those of a real run, with every twentieth of the counted ones; its sentences were added
as data afterwards. The differences are included, because the run names them only by their ids.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from memory.difference import Contrast, Difference, Moment, Turn
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from trainer.report.report import Attempt, Fate, Report

EVENTS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "training" / "runs" / "two-tries.jsonl")
    .read_text()
    .splitlines()
]
BEGAN = datetime.fromisoformat(EVENTS[0]["began"])
NAME = BEGAN.strftime("%Y%m%dT%H%M%S")
GONE = 2**22 + 1
"""A process that never was."""
ASKED = (
    ("4d8325a159fde2ba", "What is the capital of Zubrowka?", "Lutz.", "tactical/length"),
    ("9412d80ba1b3ad48", "Who wrote the song of the harbour?", "Mirra Odell wrote it.", None),
    ("8ad5bdb309f4d677", "How do you greet a friend?", "Hey, good to see you!", "tactical/length"),
    ("1e659cdcf656a31b", "Is the bridge open?", "Yes, until nine.", "semantic/register"),
    ("63a90f37f03c256a", "What is 2 + 3?", "Five, and don't ask me again.", "tactical/length"),
    ("c4adefed493786f5", "Что такое море?", "Море — это память воды.", "semantic/register"),
)


def marked(home: Home, *, asked: str = "", sounds: str = "") -> None:
    """Store the differences; `asked` and `sounds` replace the text of the first one."""
    at = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
    with Journal(home.journal) as journal:
        for number, (identity, question, reply, kind) in enumerate(ASKED):
            words = (asked or question, sounds or reply) if not number else (question, reply)
            turn = Turn(f"{number:032x}", "main", at, words[0], "So.", "starter", None)
            journal.turns.add(turn)
            journal.differences.add(
                Difference(
                    id=identity,
                    turn=turn.id,
                    thread="main",
                    at=at,
                    moment=Moment.ERROR,
                    kind=kind,
                    asked=words[0],
                    replied="So.",
                    contrast=Contrast(sounds=words[1]),
                )
            )


def recorded(home: Home, until: float = 1e9, *, alive: bool = False, **first: Any) -> Path:
    """Write the run's folder with its events up to a time; `first` changes the first event."""
    folder = home.runs / NAME
    folder.mkdir(parents=True, exist_ok=True)
    start = {**EVENTS[0], "pid": os.getpid() if alive else GONE, **first}
    events = [start, *(event for event in EVENTS[1:] if event["at"] <= until)]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def judged(home: Home, name: str, **values: Any) -> Path:
    """Write the report of a run of two attempts that took as long as the recorded one."""
    phases: dict[str, float] = {}
    for event, after in pairwise(EVENTS):
        phases[event["phase"]] = phases.get(event["phase"], 0.0) + after["at"] - event["at"]
    tried = Attempt(1, 6e-3, 1, 86, "learnt", True, 1.0, Sentence("It holds."), 1.0, 1.0)
    report = Report(
        verdict="published",
        sentence=Sentence("Learned."),
        started=BEGAN,
        seconds=EVENTS[-1]["at"],
        model="starter.gguf",
        fates=tuple(
            Fate(identity, "contrast", asked, sounds, "So.", sounds, "learnt")
            for identity, asked, sounds, _kind in ASKED
        ),
        phases=tuple(phases.items()),
        attempts=(tried, replace(tried, number=2, chosen=True)),
    )
    folder = home.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(replace(report, **values).to_json())
    (folder / "report.json").write_text(text)
    return folder
