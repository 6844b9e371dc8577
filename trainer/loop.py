"""The loop as a library: compose, train, gate, publish, one by one, for a program of one's own.

    lessons = compose(home, settings, model)             # the journal's differences → lessons
    candidate = train(lessons, settings, folder)         # a child process trains; PEFT and GGUF
    verdict = gate(candidate, settings)                  # on the very files that will serve
    adapter = publish(home, candidate, verdict)          # into the adapters folder; serves from now on

`current` says which adapter serves, `on_change` calls back when that changes, `nightly` does all of it
each night while a program runs. `model` is the local GGUF that the adapter is for; the marks may come
from an agent that talks through any other model: the replies it gave are what is contrasted, and what
must stay as it is comes from the local one.

Nothing is locked between the steps; two programs that publish at once do so one after the other, and
what was taken out of the journal since `compose` is not published.
`discern train` (`trainer/night/night.py`) is the same with a report, a sweep and the ledger around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.adapters import GGUF, Adapter, BaseEntry
from agent.plugin.adapter_watch import Watch, current, on_change, wear_current
from memory.difference import Difference
from memory.errors import AdapterError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.settings.settings import Home, Settings
from trainer.adapters import publish as publishing
from trainer.evaluate import gate as gates
from trainer.fit.hyperparameters import recipe_of
from trainer.fit.job import Job, write_job
from trainer.lessons.provenance import Basis, last_look, read_basis
from trainer.night.adapter_staleness import entry_of, fingerprints
from trainer.night.run import OnEvent

if TYPE_CHECKING:
    from trainer.evaluate.gate import Verdict
    from trainer.lessons.lessons import Curriculum

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
    "wear_current",
]


@dataclass(frozen=True, slots=True)
class Lessons:
    """All that a training learns and holds, and what it was made of."""

    curriculum: Curriculum
    differences: tuple[Difference, ...]
    model: Path
    base: BaseEntry
    basis: Basis
    home: Home


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained adapter that nothing serves yet.

    `folder` holds adapter_config.json and adapter_model.safetensors (PEFT) and adapter.gguf.
    """

    folder: Path
    lessons: Lessons
    settings: dict[str, Any]

    @property
    def gguf(self) -> Path:
        """The file that llama.cpp serves."""
        return self.folder / GGUF


def compose(
    home: Home,
    settings: Settings,
    model: Path,
    *,
    differences: Sequence[Difference] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Lessons:
    """Return the lessons of the journal's differences (or of those given) for the GGUF at `model`.

    The base's answers to what must stay are kept in the cache and asked for once.

    Raises:
        NothingToTrainError: no difference teaches, or none fits the context.
        ModelError: the model cannot be served, or not be trained.
    """
    from agent.llama.engine import Engine
    from trainer.evaluate.torch_parity import require_agreement
    from trainer.lessons.anchors import Answers
    from trainer.lessons.lessons import make_curriculum, threads_now, unmarked

    home.prepare()
    require_agreement(model)
    base = entry_of(model, home)
    with Journal(home.journal) as journal:
        basis = read_basis(journal)
        found = basis.differences if differences is None else tuple(differences)
        own = unmarked(basis.turns, found)
        threads = threads_now(journal, found)
    if not any(item.teaches for item in found):
        raise NothingToTrainError(
            "no difference teaches yet; mark a reply and say how it should have sounded"
        )
    with Engine.open(model, settings.model) as engine:
        answers = Answers(engine, base.sha256, home.cache)
        curriculum = make_curriculum(
            engine, found, answers, settings, progress, own=own, threads=threads
        )
        answers.save()
    if not curriculum.lessons:
        left = list(curriculum.left_out.values())
        why = left[0] if left else "none says how it should have sounded"
        raise NothingToTrainError("no difference can be made a lesson: {why}", why=why)
    taught = tuple(item for item in basis.taught if item.id in curriculum.differences)
    return Lessons(curriculum, found, model, base, replace(basis, taught=taught), home)


def train(
    lessons: Lessons,
    settings: Settings,
    folder: Path,
    *,
    rate: float | None = None,
    seed: int | None = None,
    on_event: OnEvent = lambda event: None,
) -> Candidate:
    """Train an adapter in a child process that dies with us; it is written below `folder`.

    `rate` and `seed` override the first of `training.learning_rates` and `training.seed`. `on_event`
    hears the child's events: "train" with step, steps, loss and learnt, at last "trained".

    Raises:
        TrainingError: the training broke down.
    """
    from trainer.adapters.gguf_lora import export_adapter
    from trainer.fit.base_model import read_architecture
    from trainer.launch.worker_client import Trainee

    training = settings.training
    chosen = training.learning_rates[0] if rate is None else rate
    architecture, layers = read_architecture(lessons.model)
    recipe = recipe_of(training, layers, rate=chosen, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "adapter"
    write_job(folder, Job(lessons.model.resolve(), output, recipe, lessons.curriculum.samples()))
    with Trainee(folder) as trainee:
        for event in trainee.fit(folder):
            on_event(event)
    export_adapter(output, output / GGUF, architecture=architecture, layers=layers)
    used = {**training.model_dump(), "learning_rate": chosen, "seed": recipe.seed}
    return Candidate(output, lessons, used)


def gate(
    candidate: Candidate,
    settings: Settings,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Load the candidate in a child, then ask it everything, with what is recalled from the journal
    that its lessons were composed from; returns the verdict.

    Raises:
        AdapterError: llama.cpp refuses it, or crashes on it.
    """
    from agent.llama.engine import Engine
    from trainer.evaluate.served_config import Recaller

    lessons = candidate.lessons
    gates.probe(candidate.gguf, lessons.model)
    with (
        Engine.open(lessons.model, settings.model) as engine,
        Journal(lessons.home.journal) as journal,
    ):
        superseded = lessons.curriculum.superseded
        recall = Recaller(engine, journal, settings, lessons.differences, superseded)
        return gates.judge(
            engine,
            candidate.gguf,
            lessons.curriculum,
            settings.gate,
            progress,
            recall=recall,
        )


def publish(home: Home, candidate: Candidate, verdict: Verdict) -> Adapter:
    """Let the candidate serve, at the strength that the gate found; open chats follow within a turn.

    Raises:
        AdapterError: the gate did not pass it.
        TrainingError: the model file changed since the lessons were composed.
        SupersededError: one of its differences was forgotten, taken back or superseded since.
        HomeError: it cannot be written; what served before serves on.
    """
    from trainer.evaluate.served_config import holdings

    if not verdict.passed:
        raise AdapterError(
            "the gate did not pass this adapter ({sentence}); train again",
            sentence=verdict.sentence,
        )
    lessons = candidate.lessons
    if entry_of(lessons.model, home) != lessons.base:
        raise TrainingError(
            "the model {model} changed since its lessons were composed; compose them anew",
            model=lessons.model,
        )
    with Journal(home.journal) as journal:
        return publishing.publish(
            home,
            candidate.folder,
            base=lessons.base,
            scale=verdict.scale,
            differences=lessons.curriculum.differences,
            fingerprints=fingerprints(lessons.differences),
            holds=holdings(verdict.holds, lessons.differences, lessons.curriculum.superseded),
            settings=candidate.settings,
            metrics=gates.measures_to_json(verdict.measures),
            versions={name: version(name) for name in ("torch", "peft", "transformers", "gguf")},
            last_look=last_look(journal, lessons.basis),
        )


@contextmanager
def nightly(home: Home, settings: Settings, *, model: Path | None = None) -> Iterator[None]:
    """Train at night (`night.time`) while this is open; nothing is published that the gate refuses.

    `model` is the GGUF that the adapter is for, by default the one that the settings serve. A night
    that another process of this user runs is not run twice.
    """
    from trainer.night.schedule import background

    scheduler = background(home, settings, model_path=model)
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)
