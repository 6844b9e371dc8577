"""The training loop as a library: compose, train, gate and publish, one step at a time.

    lessons = compose(home, settings, model)             # the journal's differences -> lessons
    candidate = train(lessons, settings, folder)         # train in a child process, export to GGUF
    verdict = gate(candidate, settings)                  # evaluate the files that will be served
    adapter = publish(home, candidate, verdict)          # make it the current adapter

`current` returns the current adapter, `on_change` calls back when it changes, and `nightly` runs all
steps every night while a program runs. `model` is the local GGUF that the adapter is for. The marks may
come from an agent that uses any other model: its replies are what the lessons contrast with, and what
must stay the same is asked of the local model.

Nothing is locked between the steps. Two programs that publish at the same time do so one after the
other, and nothing is published that was removed from the journal since `compose`.
`discern train` (`trainer/night/night.py`) runs the same steps (`trainer/pipeline.py`) with several
learning rates, a report and a ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.plugin.adapter_watch import Watch, current, on_change, use_current, wear_current
from memory.difference import Difference
from memory.errors import NothingToTrainError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer import pipeline
from trainer.adapters.adapter_staleness import entry_of, fit_for, serving
from trainer.evaluate.baselines import answers_of_adapter
from trainer.events import OnEvent
from trainer.fit.hyperparameters import Overrides
from trainer.gate.evaluate_candidate import Judging
from trainer.launch.launch import launcher
from trainer.lessons.journal_snapshot import record_states, take_snapshot, trained_states
from trainer.night.night_scheduler import background
from trainer.night.request import RunRequest
from trainer.pipeline import Candidate, Lessons

if TYPE_CHECKING:
    from agent.adapters import Adapter
    from trainer.gate.publication_verdict import Verdict

__all__ = [
    "Candidate",
    "Lessons",
    "Watch",
    "compose",
    "current",
    "gate",
    "nightly",
    "on_change",
    "publish",
    "train",
    "use_current",
    "wear_current",
]


def compose(
    home: Home,
    settings: Settings,
    model: Path,
    *,
    differences: Sequence[Difference] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Lessons:
    """Make lessons of the journal's differences, or of those given, for the GGUF at `model`.

    The base's answers to what must stay the same are asked for once and cached.

    Raises:
        NothingToTrainError: no difference teaches, or none fits the context.
        ModelError: the model cannot be served or cannot be trained.
    """
    from agent.llama.engine import Engine
    from trainer.evaluate.torch_parity import require_agreement

    home.prepare()
    require_agreement(model)
    base = entry_of(model, home)
    with Journal(home.journal) as journal:
        snapshot = take_snapshot(journal)
        if differences is not None:
            ids = {item.id for item in differences}
            taught = tuple(item for item in snapshot.taught if item.id in ids)
            snapshot = replace(snapshot, differences=tuple(differences), taught=taught)
        if not any(item.teaches for item in snapshot.differences):
            raise NothingToTrainError(
                "there is no difference to train yet; mark a reply and add the better answer"
            )
        source = pipeline.Source(home, model, base, snapshot)
        with Engine.open(model, settings.model) as engine:
            return pipeline.compose(
                engine, journal, source, settings, pipeline.CompositionOptions(progress)
            )


def train(
    lessons: Lessons,
    settings: Settings,
    folder: Path,
    *,
    rate: float | None = None,
    seed: int | None = None,
    on_event: OnEvent = lambda event: None,
) -> Candidate:
    """Train an adapter where `trainer.launcher` says; it is written below `folder`.

    `rate` and `seed` override the first of `training.learning_rates` and `training.seed`. `on_event`
    receives the events of the training: a `trainer.events.Step` for each step, at last `Trained`.

    Raises:
        TrainingError: the training failed.
        AdapterError: the returned adapter is not a plain LoRA.
        SettingsError: the settings of the launcher are incomplete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base, overrides = lessons.base, Overrides(rate=rate, seed=seed)
    never = threading.Event()
    with launcher(settings, lessons.model, base.sha256, folder, never) as chosen:
        return pipeline.train(lessons, settings, folder, chosen, overrides, on_event)


def gate(
    candidate: Candidate,
    settings: Settings,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Load the candidate in a child process, then evaluate it.

    Recall is from the journal that its lessons were composed from. What the current adapter has learned
    must be kept.

    Raises:
        AdapterError: llama.cpp refuses it, or crashes on it.
    """
    from agent.llama.engine import Engine

    pipeline.probe(candidate)
    lessons = candidate.lessons
    current = fit_for(serving(lessons.home), lessons.base)
    taught = lessons.curriculum.lessons
    with (
        Engine.open(lessons.model, settings.model) as engine,
        Journal(lessons.home.journal) as journal,
    ):
        held: tuple[bool, ...] = ()
        if current is not None:
            held = answers_of_adapter(engine, taught, current).reproduced
        return pipeline.gate(engine, journal, candidate, settings, Judging(held, progress))


def publish(home: Home, candidate: Candidate, verdict: Verdict) -> Adapter:
    """Make the candidate the current adapter, at the strength that the gate found.

    Open chats switch to it within a turn. The state of each difference that it was trained on is
    recorded.

    Raises:
        AdapterError: the gate did not pass it, or it does not load under its final name.
        TrainingError: the model file changed since the lessons were composed.
        SupersededError: one of its differences was forgotten, undone or superseded since.
        HomeError: it cannot be written. The current adapter is unchanged.
    """
    lessons = pipeline.as_gated(candidate, verdict).lessons
    answers = zip(lessons.curriculum.lessons, verdict.served.asked, strict=True)
    with Journal(home.journal) as journal:
        adapter = pipeline.publish(home, journal, candidate, verdict)
        states = trained_states((lesson.difference, said.right) for lesson, said in answers)
        record_states(journal, lessons.snapshot, states)
    return adapter


@contextmanager
def nightly(home: Home, settings: Settings, *, model: Path | None = None) -> Iterator[None]:
    """Train every night at `night.time` while the block runs; only what passes the gate is published.

    `model` is the GGUF that the adapter is for, by default the one in the settings. A night that
    another process of this user runs is not run twice.
    """
    scheduler = background(RunRequest(home, settings, model))
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)
