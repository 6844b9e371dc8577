"""A night, top to bottom: collect → compose → train → export → probe → gate → publish or reject.

`run_night` does it now; `trainer/ledger.py` knows whether tonight's run is still to be done. The
training is a child process that is killed with us, and nothing is published before the gate has passed
the very files that will serve.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.adapters import GGUF, BaseEntry, base_sha256, read_adapter, read_pointer
from memory.difference import Difference, State
from memory.errors import (
    AdapterError,
    NothingToTrainError,
    TrainingError,
)
from memory.home import Home, Settings
from memory.journal import Journal
from trainer import gate, publish
from trainer.job import Job, Recipe, write_job
from trainer.report import Fate, Point, Report
from trainer.run import OnEvent, Run, alone, prune_runs, run_folder

if TYPE_CHECKING:
    from agent.engine import Engine
    from trainer.lessons import Curriculum
    from trainer.trainee import Trainee


def run_night(
    home: Home,
    settings: Settings,
    *,
    model_path: Path,
    on_event: OnEvent = lambda event: None,
    force: bool = False,
    cancel: threading.Event | None = None,
) -> Report:
    """Train on every difference that teaches, judge the adapter, and publish it when it passes.

    `on_event` hears small dicts with at least "phase": start, compose, anchors, load, train (step,
    steps, loss, learnt, …), export, probe, gate (done, total), publish, report. `cancel`, when set,
    stops the run at the next event. `force` trains even when nothing changed since the last adapter.

    Returns a report whose verdict is "published" or "rejected".

    Raises:
        NothingToTrainError: no difference teaches, or nothing changed since the adapter that serves.
        TrainingError: another run is going on, this one was stopped, or the training broke down.
        ModelError, AdapterError, HomeError: what else can be wrong, in one sentence.
    """
    from trainer.trainee import Trainee

    home.prepare()
    with alone(home), Journal(home.journal) as journal:
        publish.sweep(home)
        differences = journal.differences()
        base = BaseEntry(sha256=_base_sha256(model_path, home), name=model_path.name)
        _require_something(home, differences, base, settings, force=force)
        run = Run(run_folder(home), on_event, cancel or threading.Event())
        try:
            run.tell("start")
            with Trainee(run.folder, cancel=run.cancel) as trainee:
                report = _night(
                    home, settings, journal, differences, base, model_path, run, trainee
                )
        except BaseException as error:
            _fail(run, error, base)
            raise
        publish.prune(home, settings.night.keep)
        prune_runs(home)
        return report


def _night(
    home: Home,
    settings: Settings,
    journal: Journal,
    differences: Sequence[Difference],
    base: BaseEntry,
    model_path: Path,
    run: Run,
    trainee: Trainee,
) -> Report:
    from agent.engine import Engine
    from trainer.anchors import Answers
    from trainer.lessons import make_curriculum

    run.tell("compose", differences=sum(difference.teaches for difference in differences))
    with Engine.open(model_path, settings.model) as engine:
        answers = Answers(engine, base.sha256, home.cache)
        curriculum = make_curriculum(
            engine, differences, answers, settings, run.counting("anchors")
        )
        answers.save()
        if not curriculum.lessons:
            raise TrainingError(
                "every difference is too long for the model's context; raise model.context in "
                "config.toml or shorten what should sound"
            )
        best: tuple[gate.Verdict, Path, float] | None = None
        for number, rate in enumerate(settings.training.learning_rates):
            folder = run.folder / f"try-{number + 1}"
            folder.mkdir()
            _train(trainee, run, folder, model_path, curriculum, settings, rate)
            verdict = _try(engine, run, folder, model_path, curriculum, settings)
            if best is None or _rank(verdict) > _rank(best[0]):
                best = (verdict, folder, rate)
            if verdict.passed:
                break
    assert best is not None
    verdict, folder, rate = best
    adapter: str | None = None
    if verdict.passed:
        run.tell("publish")
        adapter = publish.publish(
            home,
            folder / "adapter",
            base=base,
            scale=verdict.scale,
            differences=curriculum.differences,
            settings={**settings.training.model_dump(), "learning_rate": rate},
            metrics=gate.measures_to_json(verdict.measures),
            versions={name: version(name) for name in ("torch", "peft", "transformers", "gguf")},
        ).id
    fates = _fates(differences, curriculum, verdict)
    journal.set_states(_states(fates, published=verdict.passed))
    return run.close(
        Report(
            verdict="published" if verdict.passed else "rejected",
            sentence=_sentence(curriculum, verdict),
            started=run.started,
            seconds=round(time.perf_counter() - run.began, 2),
            model=base.name,
            adapter=adapter,
            scale=verdict.scale,
            learning_rate=rate,
            fates=fates,
            measures=verdict.measures,
            changes=verdict.changes,
            curve=tuple(run.curve),
            phases=tuple((name, round(took, 2)) for name, took in run.phases.items()),
            run=str(run.folder),
        )
    )


def _train(
    trainee: Trainee,
    run: Run,
    folder: Path,
    model_path: Path,
    curriculum: Curriculum,
    settings: Settings,
    rate: float,
) -> None:
    training = settings.training
    recipe = Recipe(
        rank=training.rank,
        alpha=training.alpha,
        targets=tuple(training.targets),
        learning_rate=rate,
        max_steps=training.max_steps,
        preference_weight=training.preference_weight,
        preference_beta=training.preference_beta,
        anchor_weight=training.anchor_weight,
        max_seconds=training.max_minutes * 60,
        seed=training.seed,
        threads=training.threads,
    )
    write_job(folder, Job(model_path.resolve(), folder / "adapter", recipe, curriculum.samples()))
    run.curve.clear()
    run.tell("load")
    for event in trainee.fit(folder):
        if event.get("phase") == "train" and "loss" in event:
            run.curve.append(Point(event["step"], event["loss"], event["learnt"]))
        run.tell(**event)


def _try(
    engine: Engine,
    run: Run,
    folder: Path,
    model_path: Path,
    curriculum: Curriculum,
    settings: Settings,
) -> gate.Verdict:
    from trainer.export import export_adapter

    run.tell("export")
    adapter = folder / "adapter" / GGUF
    export_adapter(
        folder / "adapter",
        adapter,
        architecture=engine.info.architecture,
        layers=int(engine.info.metadata[f"{engine.info.architecture}.block_count"]),
    )
    run.tell("probe")
    gate.probe(adapter, model_path)
    return gate.judge(engine, adapter, curriculum, settings.gate, run.counting("gate"))


def _rank(verdict: gate.Verdict) -> tuple[bool, int, float]:
    """Order verdicts: passed, then how many measures passed, then how much was learnt."""
    passed = sum(measure.passed for measure in verdict.measures)
    return verdict.passed, passed, sum(verdict.reproduced)


def _fates(
    differences: Sequence[Difference], curriculum: Curriculum, verdict: gate.Verdict
) -> tuple[Fate, ...]:
    made = [
        Fate(
            difference=lesson.difference,
            kind=lesson.kind,
            asked=lesson.question.text,
            expected=lesson.expected,
            before=before,
            after=after,
            fate="learnt" if right else "failing",
            rephrasings=round(rephrased, 3),
        )
        for lesson, before, after, right, rephrased in zip(
            curriculum.lessons,
            curriculum.before,
            verdict.after,
            verdict.reproduced,
            verdict.rephrased,
            strict=True,
        )
    ]
    left_out = {**curriculum.superseded, **dict.fromkeys(curriculum.too_long, "")}
    for item in differences:
        if item.id in left_out:
            newer = left_out[item.id]
            fate = f"superseded by {newer[:8]}" if newer else "too long"
            made.append(
                Fate(
                    item.id,
                    "contrast",
                    item.asked,
                    item.contrast.sounds or "",
                    item.replied,
                    "",
                    fate,
                )
            )
    return tuple(made)


def _states(fates: Sequence[Fate], *, published: bool) -> dict[str, State]:
    """Return where each trained difference stands; a rejected adapter teaches nothing."""
    states: dict[str, State] = {}
    for fate in fates:
        if fate.fate in ("learnt", "failing"):
            right = published and fate.fate == "learnt"
            failing = states.get(fate.difference) is State.FAILING or not right
            states[fate.difference] = State.FAILING if failing else State.TRAINED
    return states


def _sentence(curriculum: Curriculum, verdict: gate.Verdict) -> str:
    count = len(curriculum.differences)
    right = sum(verdict.reproduced)
    learnt = f"{right} of {len(verdict.reproduced)} lessons from {count} difference"
    learnt += "" if count == 1 else "s"
    if not verdict.passed:
        return f"The adapter was not taken ({learnt} learnt): {verdict.sentence}."
    scaled = "" if verdict.scale == 1 else f", at {verdict.scale:.0%} of its strength"
    return f"Learnt {learnt}{scaled}; the rest stayed as it was."


def _fail(run: Run, error: BaseException, base: BaseEntry) -> None:
    """Leave a report of a run that broke down; never hides the error itself."""
    run.cancel = threading.Event()
    sentence = str(error) or type(error).__name__
    try:
        run.close(
            Report(
                verdict="failed",
                sentence=sentence,
                started=run.started,
                seconds=round(time.perf_counter() - run.began, 2),
                model=base.name,
                curve=tuple(run.curve),
                phases=tuple((name, round(took, 2)) for name, took in run.phases.items()),
                run=str(run.folder),
            )
        )
    except Exception:
        run.free()


def _require_something(
    home: Home,
    differences: Sequence[Difference],
    base: BaseEntry,
    settings: Settings,
    *,
    force: bool,
) -> None:
    from trainer.lessons import current_differences

    teaching, _superseded = current_differences(differences)
    if not teaching and forgotten(home, differences):
        publish.select(home, None)
        raise NothingToTrainError(
            "every difference was forgotten, so there is nothing to train and the base serves alone"
        )
    if not teaching:
        marks = "no difference is marked yet" if not differences else (
            "no marked difference says how it should have sounded"
        )  # fmt: skip
        raise NothingToTrainError(
            f"{marks}, so there is nothing to train; in the chat, "
            "`/diff error => how it should sound` marks one"
        )
    if force:
        return
    try:
        identity = read_pointer(home.adapters).current
        manifest = read_adapter(home.adapters, identity).manifest if identity else None
    except AdapterError:
        return
    if manifest is None or manifest.base.sha256 != base.sha256:
        return
    if set(manifest.differences) == {difference.id for difference in teaching}:
        raise NothingToTrainError(
            f"nothing changed since the adapter {manifest.id}, which knows all "
            f"{len(teaching)} differences; `discern train --force` trains anew"
        )


def _base_sha256(model_path: Path, home: Home) -> str:
    from memory.errors import ModelError

    try:
        return base_sha256(model_path, home.cache)
    except OSError as error:
        raise ModelError(
            f"cannot read the model {model_path}: {error.strerror}; check model.path in config.toml"
        ) from error


def forgotten(home: Home, differences: Sequence[Difference]) -> set[str]:
    """Return the differences that the serving adapter was trained on and the journal lost."""
    try:
        identity = read_pointer(home.adapters).current
        known = read_adapter(home.adapters, identity).manifest.differences if identity else ()
    except AdapterError:
        return set()
    return set(known) - {difference.id for difference in differences}
