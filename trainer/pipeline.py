"""The steps from marked differences to a published adapter: compose, train, probe, gate, publish.

Each step takes what it needs already open (an engine, the journal, a launcher), so that a night
(`trainer/night/night.py`) can share them between steps and a program that calls `trainer/loop.py`
can open them one step at a time. Nothing is locked between the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.adapters import GGUF, Adapter, BaseEntry
from agent.chat.recall_context import Recaller
from memory.difference import Difference
from memory.errors import AdapterError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.recall.adapter_scope import FLOOR, FLOORS, Scope
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.adapters import publish as publishing
from trainer.adapters.adapter_staleness import entry_of, fingerprints
from trainer.adapters.lora_to_gguf import write_gguf_lora
from trainer.evaluate import probe as probing
from trainer.evaluate.served_config import ServedRecall, learned_from
from trainer.events import OnEvent
from trainer.fit.hyperparameters import Overrides, recipe_of
from trainer.fit.job import Job, write_job
from trainer.fit.model.base_model import count_layers
from trainer.gate.evaluate_candidate import Evaluation, Judging, judge
from trainer.gate.publication_verdict import Verdict, measures_to_json
from trainer.launch import check_trained_files
from trainer.lessons.anchors.base_answers import BaseAnswers
from trainer.lessons.anchors.choose_unchanged_prompts import unmarked_questions
from trainer.lessons.contexts import current_threads
from trainer.lessons.curriculum_changes import AS_ASKED, SPREADS, without_differences
from trainer.lessons.journal_snapshot import JournalSnapshot, publication_guard
from trainer.lessons.lessons import (
    Conversations,
    Curriculum,
    CurriculumPlan,
    answer_plan,
    plan_curriculum,
)

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.launch.launch import Launcher

OnProgress = Callable[[int, int], None]


def _everything(plan: CurriculumPlan, _answers: BaseAnswers) -> CurriculumPlan:
    return plan


@dataclass(frozen=True, slots=True)
class CompositionOptions:
    """How lessons are composed.

    `progress` reports how many of the base's answers are ready. `choose` may leave out prompts before
    the base is asked. Once `over` returns true, only what is required is asked.
    """

    progress: OnProgress = lambda done, total: None
    choose: Callable[[CurriculumPlan, BaseAnswers], CurriculumPlan] = _everything
    over: Callable[[], bool] = lambda: False


PACKAGES = ("torch", "peft", "transformers", "gguf")
"""Packages whose versions an adapter's manifest records."""


@dataclass(frozen=True, slots=True)
class Source:
    """What lessons are composed from: the snapshot of the journal, and the model to train."""

    home: Home
    model: Path
    base: BaseEntry
    snapshot: JournalSnapshot


@dataclass(frozen=True, slots=True)
class Lessons:
    """The curriculum of a training, and what it was composed from."""

    curriculum: Curriculum
    differences: tuple[Difference, ...]
    model: Path
    base: BaseEntry
    snapshot: JournalSnapshot
    home: Home


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained adapter that has not been published.

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
    engine: Engine,
    journal: Journal,
    source: Source,
    settings: Settings,
    how: CompositionOptions | None = None,
) -> Lessons:
    """Make the lessons of the differences in `source.snapshot`.

    `engine` must serve the base alone. Its answers to what must stay the same are cached.

    Raises:
        NothingToTrainError: no difference can be made a lesson.
    """
    how = how or CompositionOptions()
    answers = BaseAnswers(engine, source.base.sha256, source.home.cache)
    plan = _plan(engine, journal, source, settings, answers)
    if not plan.lessons:
        left = list(plan.left_out.values())
        why = left[0] if left else Sentence("none of them has a better answer")
        raise NothingToTrainError("no lesson can be made from the differences: {why}", why=why)
    plan = how.choose(plan, answers)
    curriculum = answer_plan(engine, plan, answers, settings, how.progress, how.over)
    answers.save()
    return Lessons(
        curriculum,
        source.snapshot.differences,
        source.model,
        source.base,
        source.snapshot,
        source.home,
    )


def ask_ahead(
    engine: Engine,
    journal: Journal,
    source: Source,
    settings: Settings,
    progress: OnProgress = lambda done, total: None,
) -> int:
    """Ask the base everything that `compose` would ask, to fill the cache; return how many were new.

    Also useful without lessons: most anchors do not depend on them.
    """
    answers = BaseAnswers(engine, source.base.sha256, source.home.cache)
    plan = _plan(engine, journal, source, settings, answers)
    answer_plan(engine, plan, answers, settings, progress)
    answers.save()
    return answers.computed


def _plan(
    engine: Engine, journal: Journal, source: Source, settings: Settings, answers: BaseAnswers
) -> CurriculumPlan:
    snapshot = source.snapshot
    around = Conversations(
        unmarked_questions(snapshot.turns, snapshot.differences),
        current_threads(journal, snapshot.differences),
    )
    return plan_curriculum(engine, snapshot.differences, settings, around, answers.likelihoods)


@contextmanager
def served_recall(
    engine: Engine, journal: Journal, lessons: Lessons, settings: Settings
) -> Iterator[ServedRecall]:
    """Yield what the chat would recall for a message, with or without an adapter."""
    made = lessons.curriculum
    with Recaller.from_journal(journal, settings, engine) as recaller:
        yield ServedRecall(recaller, settings, lessons.differences, made.superseded, made.lessons)


def train(
    lessons: Lessons,
    settings: Settings,
    folder: Path,
    launcher: Launcher,
    overrides: Overrides | None = None,
    on_event: OnEvent = lambda event: None,
) -> Candidate:
    """Train an adapter below `folder`, check what came back and export it to GGUF.

    `on_event` receives the events of the training, the last of which is `Trained`.

    Raises:
        TrainingError: the training failed or was cancelled.
        AdapterError: the returned adapter is not a plain LoRA for this base.
    """
    recipe = recipe_of(settings.training, count_layers(lessons.model), overrides)
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "adapter"
    samples = lessons.curriculum.samples(overrides.near if overrides else 1.0)
    write_job(folder, Job(lessons.model.resolve(), output, recipe, samples))
    for event in launcher.fit(folder):
        on_event(event)
    check_trained_files.check(output)
    write_gguf_lora(output, output / GGUF, base=lessons.model)
    rate = overrides.rate if overrides else None
    used = {
        **settings.training.model_dump(),
        "learning_rate": settings.training.learning_rates[0] if rate is None else rate,
        "seed": recipe.seed,
        "anchor_weight": recipe.anchor_weight,
        "hidden_weight": recipe.hidden_weight,
    }
    return Candidate(output, lessons, used)


def probe(candidate: Candidate) -> None:
    """Load the candidate onto its base in a child process.

    Raises:
        AdapterError: llama.cpp refuses it, or crashes on it.
    """
    probing.probe(candidate.gguf, candidate.lessons.model)


def scope_of(
    lessons: Lessons, floor: float = FLOOR, without: frozenset[str] = frozenset()
) -> Scope:
    """Return the scope of an adapter trained on `lessons`: messages related to them.

    Of the differences with the ids `without`, only the questions as they were asked are inside.
    """
    taught = frozenset(lessons.curriculum.differences)
    marked = [item for item in lessons.differences if item.id in taught]
    return Scope(
        (item.asked for item in marked if item.id not in without),
        floor,
        (item.asked for item in marked if item.id in without),
    )


def gate(
    engine: Engine,
    journal: Journal,
    candidate: Candidate,
    settings: Settings,
    judging: Judging | None = None,
) -> Verdict:
    """Evaluate a candidate that passed `probe`, with recall as the chat would use it."""
    judging = judging or Judging()
    lessons = candidate.lessons
    answers = BaseAnswers(engine, lessons.base.sha256, lessons.home.cache)
    with served_recall(engine, journal, lessons, settings) as recall:
        evaluation = Evaluation(
            engine,
            lessons.curriculum,
            settings.gate,
            recall,
            answers,
            judging.held_now,
            judging.progress,
            another_scale=judging.another_scale,
            scope=scope_of(lessons) if settings.chat.scope == "always" else None,
            fallbacks=(
                [partial(scope_of, lessons, floor) for floor in FLOORS]
                if settings.chat.scope == "auto"
                else ()
            ),
        )
        verdict = judge(candidate.gguf, evaluation)
    answers.save()
    return verdict


def as_gated(candidate: Candidate, verdict: Verdict) -> Candidate:
    """Return the candidate without the differences that the gate left out of its verdict."""
    lessons, made = candidate.lessons, candidate.lessons.curriculum
    made = without_differences(made, verdict.as_asked, AS_ASKED)
    made = without_differences(made, verdict.left_out - verdict.as_asked, SPREADS)
    return replace(candidate, lessons=replace(lessons, curriculum=made))


def publish(home: Home, journal: Journal, candidate: Candidate, verdict: Verdict) -> Adapter:
    """Make the candidate the current adapter, at the strength and in the scope that the gate found.

    Raises:
        AdapterError: the gate did not pass it, or it does not load under its final name.
        TrainingError: the model file changed since the lessons were composed.
        SupersededError: one of its differences was forgotten, undone or superseded since.
        HomeError: it cannot be written. The current adapter is unchanged.
    """
    candidate = as_gated(candidate, verdict)
    lessons, made = candidate.lessons, candidate.lessons.curriculum
    if not verdict.passed:
        raise AdapterError(
            "the adapter did not pass the evaluation ({sentence}); train again",
            sentence=verdict.sentence,
        )
    if (base := entry_of(lessons.model, home)) != lessons.base:
        raise TrainingError(
            "the model {path} changed during the training ({before} → {after}); nothing was "
            "published; run `discern train` to train for the new model",
            path=lessons.model,
            before=lessons.base.sha256[:8],
            after=base.sha256[:8],
        )
    return publishing.publish(
        home,
        publishing.PublishRequest(
            candidate.folder,
            lessons.base,
            scale=verdict.scale,
            differences=made.differences,
            as_asked=sorted(verdict.as_asked),
            fingerprints=fingerprints(lessons.differences),
            learned=learned_from(
                made.lessons, verdict.holds, lessons.differences, made.superseded, verdict.floor
            ),
            settings=candidate.settings,
            metrics=measures_to_json(verdict.measures),
            versions={name: version(name) for name in PACKAGES},
        ),
        probe=lambda adapter: probing.probe(adapter, lessons.model),
        guard=publication_guard(journal, lessons.snapshot),
    )
