"""One trial of a night: train and evaluate an adapter as a plan says.

Each trial has a folder inside the run's. When a trial fails (the loss is not finite, llama.cpp refuses
the adapter), the caller continues with the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from memory.errors import DiscernError
from memory.files.atomic_write import write_whole
from trainer import pipeline
from trainer.events import Event, Exporting, Judged, Probing, Step, Trained, TrialStarted
from trainer.fit.hyperparameters import Overrides
from trainer.fit.job import CONTROL_FILE
from trainer.gate.evaluate_candidate import Judging
from trainer.lessons.curriculum_changes import SPREADS, with_hard_questions, without_differences
from trainer.night.interrupted_trials import earlier_steps
from trainer.night.trials.next_trial import TrialPlan, Tried
from trainer.night.trials.reuse_evaluation import keep_verdict, kept_verdict, verdict_key
from trainer.report.report import Attempt, Point

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agent.llama.engine import Engine
    from memory.journal.journal import Journal
    from memory.settings.settings import Settings
    from trainer.gate.publication_verdict import Verdict
    from trainer.launch.launch import Launcher
    from trainer.lessons.lessons import Curriculum
    from trainer.night.run import Run
    from trainer.pipeline import Candidate, Lessons

_Item = TypeVar("_Item")
CURVE_POINTS = 120
"""Most points of a curve that a report keeps."""


@dataclass(slots=True)
class Curves:
    """The curves of one training: its loss, margins and last event."""

    points: list[Point] = field(default_factory=list)
    margins: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    ended: Trained | None = None

    def hear(self, event: Event) -> None:
        """Record an event of the training."""
        match event:
            case Trained():
                self.ended = event
            case Step(step=step):
                self.points.append(Point(step, event.loss, event.learnt))
                for name, nats in event.margins.items():
                    self.margins.setdefault(name, []).append((step, nats))

    @property
    def seconds(self) -> float:
        """How long the training took."""
        return self.ended.seconds if self.ended else 0.0

    @property
    def reason(self) -> str:
        """Why the training ended, as in `Trained`."""
        return self.ended.reason if self.ended else ""


@dataclass(frozen=True, slots=True)
class Trial:
    """A finished trial: its plan, candidate, verdict and curves."""

    plan: TrialPlan
    candidate: Candidate
    verdict: Verdict
    curves: Curves
    held_now: tuple[bool, ...] = ()
    """Whether the current adapter reproduces each of its lessons."""

    @property
    def tried(self) -> Tried:
        """The outcome, for `trainer/night/trials/next_trial.py`."""
        verdict, curriculum = self.verdict, self.candidate.lessons.curriculum
        failed = {item.name for item in verdict.measures if not item.may_serve}
        if verdict.unlearnt:
            failed.add("lessons")
        if verdict.left_out:
            failed.add("spread")
        changed = {
            change.asked
            for change in verdict.changes
            if change.spread or change.harm or (change.near and not change.undecided)
        } | verdict.spread_to
        removable = verdict.removable(curriculum.lessons, self.held_now)
        return Tried(
            self.plan, frozenset(failed), self.curves.reason, frozenset(changed), removable
        )

    @property
    def rank(self) -> tuple[bool, int, bool, float, float]:
        """The rank among trials.

        What counts, in this order: passed, differences left out, no warning, the shares of what was
        learned and unchanged, the divergence.
        """
        verdict = self.verdict
        values = {measure.name: measure for measure in verdict.measures}
        kept = sum(
            measure.value if measure.strict is None else measure.strict
            for measure in (values["near_misses"], values["anchors"])
        )
        # Learning comes first: two thirds of the lessons weigh as much as all unrelated answers.
        learnt = 1.5 * (verdict.served.lessons + verdict.served.rephrasings)
        return (
            verdict.passed,
            -len(verdict.left_out),
            verdict.clean,
            round(learnt + kept, 6),
            -values["kl"].value,
        )

    def entry(self, *, chosen: bool) -> Attempt:
        """Return this trial's entry in the report."""
        verdict, curves = self.verdict, self.curves
        return Attempt(
            number=self.plan.number,
            rate=self.plan.rate,
            seed=self.plan.seed,
            steps=curves.ended.steps if curves.ended else 0,
            reason=curves.reason,
            passed=verdict.passed,
            scale=verdict.scale,
            sentence=verdict.sentence,
            lessons=round(verdict.served.lessons, 4),
            rephrasings=round(verdict.served.rephrasings, 4),
            curve=tuple(_thin(curves.points)),
            margins={name: tuple(_thin(points)) for name, points in curves.margins.items()},
            chosen=chosen,
            change=self.plan.change,
        )


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What all trials of one night share."""

    run: Run
    settings: Settings
    launcher: Launcher
    engine: Engine
    journal: Journal
    lessons: Lessons
    held_now: Sequence[bool]
    """Whether the current adapter reproduces each lesson."""
    another_scale: Callable[[], bool] = lambda: True
    """Whether there is time to evaluate an adapter at another strength."""

    def changed_by(self, plan: TrialPlan) -> TrialContext:
        """Return the context with the curriculum of `plan`."""
        context = self.without(plan.without) if plan.without else self
        if not plan.hard:
            return context
        return context.with_curriculum(with_hard_questions(context.curriculum, plan.hard))

    @property
    def curriculum(self) -> Curriculum:
        """What is trained and measured."""
        return self.lessons.curriculum

    def with_curriculum(self, curriculum: Curriculum) -> TrialContext:
        """Return the context with another curriculum."""
        return replace(self, lessons=replace(self.lessons, curriculum=curriculum))

    def without(self, differences: Collection[str]) -> TrialContext:
        """Return the context without some differences, which spread to other answers."""
        curriculum = without_differences(self.curriculum, differences, SPREADS)
        return replace(self.with_curriculum(curriculum), held_now=self.held_without(differences))

    def held_without(self, differences: Collection[str]) -> list[bool]:
        """Return `held_now` without the lessons of some differences."""
        kept = [lesson.difference not in differences for lesson in self.curriculum.lessons]
        return list(compress(self.held_now, kept))


def run_trial(plan: TrialPlan, context: TrialContext, seconds: float) -> Trial:
    """Train within `seconds`, export, probe and evaluate one adapter.

    Raises:
        TrainingError: the child process failed, or the run was cancelled.
        AdapterError: llama.cpp refuses the adapter.
    """
    run, settings = context.run, context.settings
    context = context.changed_by(plan)
    folder = run.folder / f"try-{plan.number}"
    folder.mkdir(exist_ok=True)  # it exists if an earlier attempt started this trial
    run.curve.clear()
    run.emit(TrialStarted(plan.number, plan.rate, plan.seed))
    listener = _Listener(folder, run, earlier_steps(folder))
    candidate = pipeline.train(
        context.lessons,
        settings,
        folder,
        context.launcher,
        Overrides(plan.rate, plan.seed, plan.steps, seconds, plan.anchors, plan.near, plan.longer),
        listener.hear,
    )
    key = verdict_key(candidate, settings, context.held_now)
    verdict = kept_verdict(folder, key)
    if verdict is None:
        run.emit(Probing())
        pipeline.probe(candidate)
        judging = Judging(context.held_now, run.count_progress("gate"), context.another_scale)
        verdict = pipeline.gate(context.engine, context.journal, candidate, settings, judging)
        keep_verdict(folder, key, verdict)
    candidate = pipeline.as_gated(candidate, verdict)
    run.emit(
        Judged(verdict.passed, verdict.scale, verdict.sentence, tuple(verdict.served.reproduced))
    )
    held_now = context.held_without(verdict.left_out)
    return Trial(plan, candidate, verdict, listener.curves, tuple(held_now))


def failed_entry(plan: TrialPlan, error: DiscernError) -> Attempt:
    """Return the entry of a failed trial in the report."""
    return Attempt(
        number=plan.number,
        rate=plan.rate,
        seed=plan.seed,
        steps=0,
        reason="failed",
        passed=False,
        scale=0.0,
        sentence=error.sentence,
        lessons=0.0,
        rephrasings=0.0,
        change=plan.change,
    )


@dataclass(slots=True)
class _Listener:
    """Record the curves of a training, pass its events on, and tell it when to stop."""

    folder: Path
    run: Run
    earlier: Sequence[Step] = ()
    """Steps of an interrupted attempt, which the training may resume."""
    curves: Curves = field(default_factory=Curves)
    told: bool = False

    def hear(self, event: Event) -> None:
        """Handle an event of the training."""
        if isinstance(event, Step | Trained) and self.earlier:
            before = event.step if isinstance(event, Step) else event.steps + 1
            again, self.earlier = self.earlier, ()
            for step in again:
                if step.step < before:
                    self._take(step)
        self._take(event)

    def _take(self, event: Event) -> None:
        self.curves.hear(event)
        if self.curves.points:
            self.run.curve[:] = self.curves.points
        self.run.emit(event)
        if self.run.stop.is_set() and not self.told:
            write_whole(self.folder / CONTROL_FILE, "stop")
            self.told = True
        if isinstance(event, Trained):
            self.run.emit(Exporting())


def _thin(items: Sequence[_Item]) -> list[_Item]:
    """Keep at most CURVE_POINTS of a curve, including both ends."""
    if len(items) <= CURVE_POINTS:
        return list(items)
    last = CURVE_POINTS - 1
    return [items[number * (len(items) - 1) // last] for number in range(CURVE_POINTS)]
