"""One try of a night: a learning rate and a seed → a trained, exported, probed and judged adapter.

Owns the try's folder inside the run's. What breaks down in one try (a loss that is no number, an
adapter that llama.cpp refuses) costs that try alone; the caller goes on with the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agent.adapters import GGUF
from memory.errors import TrainingError
from memory.files.atomic_write import write_whole
from trainer.evaluate import gate
from trainer.fit.hyperparameters import recipe_of
from trainer.fit.job import CONTROL, Job, write_job
from trainer.launch import validate_candidate
from trainer.report.report import Attempt, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.llama.engine import Engine
    from memory.settings.settings import Settings
    from trainer.evaluate.served_config import Recaller
    from trainer.launch.launch import Launcher
    from trainer.lessons.lessons import Curriculum
    from trainer.night.run import Run

Item = TypeVar("Item")
CURVE_POINTS = 120
"""Points of a curve that a report keeps at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one try is made with."""

    number: int
    rate: float
    seed: int
    steps: int


@dataclass(frozen=True, slots=True)
class Practice:
    """Several short runs from differently shuffled lessons instead of a sweep; the best one that the
    gate passes is published, or none when `dry`."""

    episodes: int
    steps: int
    dry: bool = False


@dataclass(slots=True)
class Curves:
    """What was heard while one try trained."""

    points: list[Point] = field(default_factory=list)
    margins: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)

    def hear(self, event: dict[str, Any]) -> None:
        """Take in an event of the training child."""
        if event.get("phase") == "trained":
            self.ended = event
        if event.get("phase") == "train" and "loss" in event:
            step = int(event["step"])
            self.points.append(Point(step, float(event["loss"]), float(event["learnt"])))
            for name, nats in event.get("margins", {}).items():
                self.margins.setdefault(name, []).append((step, float(nats)))


@dataclass(frozen=True, slots=True)
class Tried:
    """One try: its plan, folder, verdict and curves."""

    plan: Plan
    folder: Path
    verdict: gate.Verdict
    curves: Curves

    @property
    def rank(self) -> tuple[bool, bool, float, float]:
        """Orders tries: passed, cleanly, how much was learnt and kept, how little moved."""
        verdict = self.verdict
        values = {measure.name: measure for measure in verdict.measures}
        kept = sum(
            measure.value if measure.strict is None else measure.strict
            for measure in (values["near_misses"], values["anchors"])
        )
        # Two thirds of a lesson weigh as much as a whole unrelated answer: learning comes first.
        learnt = 1.5 * (verdict.spoken.lessons + verdict.spoken.rephrasings)
        return verdict.passed, verdict.clean, round(learnt + kept, 6), -values["kl"].value

    def entry(self, *, chosen: bool) -> Attempt:
        """Return the line of the report."""
        verdict, curves = self.verdict, self.curves
        return Attempt(
            number=self.plan.number,
            rate=self.plan.rate,
            seed=self.plan.seed,
            steps=int(curves.ended.get("steps", 0)),
            reason=str(curves.ended.get("reason", "")),
            passed=verdict.passed,
            scale=verdict.scale,
            sentence=verdict.sentence,
            lessons=round(verdict.spoken.lessons, 4),
            rephrasings=round(verdict.spoken.rephrasings, 4),
            curve=tuple(_thin(curves.points)),
            margins={name: tuple(_thin(points)) for name, points in curves.margins.items()},
            chosen=chosen,
        )


def plans(settings: Settings, practice: Practice | None) -> list[Plan]:
    """Return the tries of a night in order: each learning rate; or the episodes of a practice, which
    take the rates in turn, each from a seed of its own."""
    training = settings.training
    rates = training.learning_rates
    if practice is None:
        return [
            Plan(number, rate, training.seed, training.max_steps)
            for number, rate in enumerate(rates, 1)
        ]
    return [
        Plan(number + 1, rates[number % len(rates)], training.seed + number, practice.steps)
        for number in range(practice.episodes)
    ]


def make(
    plan: Plan,
    trainee: Launcher,
    run: Run,
    engine: Engine,
    model_path: Path,
    curriculum: Curriculum,
    settings: Settings,
    held_now: Sequence[bool],
    recall: Recaller,
    seconds: float,
) -> Tried:
    """Train within `seconds`, export, probe and judge one adapter.

    Raises:
        TrainingError: the child broke down, or the run was aborted.
        AdapterError: llama.cpp refuses what was trained.
    """
    from trainer.adapters.gguf_lora import export_adapter

    folder = run.folder / f"try-{plan.number}"
    folder.mkdir()
    layers = int(engine.info.metadata[f"{engine.info.architecture}.block_count"])
    recipe = recipe_of(
        settings.training,
        layers,
        rate=plan.rate,
        seed=plan.seed,
        steps=plan.steps,
        seconds=seconds,
    )
    write_job(folder, Job(model_path.resolve(), folder / "adapter", recipe, curriculum.samples()))
    curves = _train(plan, folder, trainee, run)
    run.tell("export")
    adapter = folder / "adapter" / GGUF
    validate_candidate.check(folder / "adapter")
    export_adapter(
        folder / "adapter",
        adapter,
        architecture=engine.info.architecture,
        layers=layers,
    )
    run.tell("probe")
    gate.probe(adapter, model_path)
    verdict = gate.judge(
        engine, adapter, curriculum, settings.gate, run.counting("gate"), held_now, recall
    )
    run.tell(
        "gate",
        passed=verdict.passed,
        scale=verdict.scale,
        sentence=verdict.sentence,
        reproduced=list(verdict.spoken.reproduced),
    )
    return Tried(plan, folder, verdict, curves)


def broken_down(plan: Plan, error: Exception) -> Attempt:
    """Return the report's line on a try that came to nothing."""
    return Attempt(
        number=plan.number,
        rate=plan.rate,
        seed=plan.seed,
        steps=0,
        reason="failed",
        passed=False,
        scale=0.0,
        sentence=str(error),
        lessons=0.0,
        rephrasings=0.0,
    )


def _train(plan: Plan, folder: Path, trainee: Launcher, run: Run) -> Curves:
    curves = Curves()
    run.curve.clear()
    run.tell("load", attempt=plan.number, rate=plan.rate, seed=plan.seed)
    told = False
    for event in trainee.fit(folder):
        curves.hear(event)
        if curves.points:
            run.curve[:] = curves.points
        if event.get("phase") == "aborted":
            raise TrainingError("the training was aborted; nothing was published")
        run.tell(**event)
        if run.stop.is_set() and not told:
            write_whole(folder / CONTROL, "stop")
            told = True
    return curves


def _thin(items: Sequence[Item]) -> list[Item]:
    """Keep at most CURVE_POINTS of a curve, its ends among them."""
    if len(items) <= CURVE_POINTS:
        return list(items)
    last = CURVE_POINTS - 1
    return [items[number * (len(items) - 1) // last] for number in range(CURVE_POINTS)]
