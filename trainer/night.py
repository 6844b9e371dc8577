"""A night, top to bottom: collect → compose → train → export → probe → gate → publish or reject.

`run_night` does it now; `run_if_due` asks the ledger whether tonight's run is still to be done. Each
run has a folder of its own (`Home.runs`) with `events.jsonl` and `report.json`. One run at a time in a
home: a lock file that the kernel frees when its holder dies. The training is a child process that is
killed with us, and nothing is published before the gate has passed the very files that will serve.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from agent.adapters import GGUF, BaseEntry, base_sha256, read_adapter, read_pointer
from memory.difference import Difference, State, now
from memory.errors import (
    AdapterError,
    DiscernError,
    HomeError,
    NothingToTrainError,
    TrainingError,
)
from memory.home import Home, Settings
from memory.journal import Journal
from trainer import gate, publish
from trainer.job import Job, Recipe, write_job
from trainer.report import Fate, Point, Report

if TYPE_CHECKING:
    from agent.engine import Engine
    from trainer.lessons import Curriculum
    from trainer.trainee import Trainee

OnEvent = Callable[[dict[str, Any]], None]
STALE_SECONDS = 180.0
"""A night whose heartbeat is older was cut off and may be claimed anew."""
BEAT_SECONDS = 30.0
ATTEMPTS = 3
KEPT_RUNS = 30


@dataclass
class _Run:
    """One run's folder, clock and ears."""

    folder: Path
    on_event: OnEvent
    cancel: threading.Event
    began: float = field(default_factory=time.perf_counter)
    started: datetime = field(default_factory=now)
    phases: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    _phase: str = ""
    _since: float = field(default_factory=time.perf_counter)
    _events: IO[str] | None = None

    def tell(self, phase: str, **values: Any) -> None:
        """Pass an event on, write it down, and count the time of its phase.

        Raises:
            TrainingError: the run was cancelled.
        """
        moment = time.perf_counter()
        if phase != self._phase:
            if self._phase:
                self.phases[self._phase] = self.phases.get(self._phase, 0.0) + moment - self._since
            self._phase, self._since = phase, moment
        event = {"phase": phase, **values}
        if self._events is None:
            self._events = (self.folder / "events.jsonl").open("a", encoding="utf-8")
        self._events.write(json.dumps({"at": round(moment - self.began, 3), **event}) + "\n")
        self._events.flush()
        self.on_event(event)
        if self.cancel.is_set() and phase != "report":
            raise TrainingError(
                "the training was stopped; nothing was published and what served before serves on"
            )

    def counting(self, phase: str) -> Callable[[int, int], None]:
        """Return a listener that reports (done, total) under `phase`."""
        return lambda done, total: self.tell(phase, done=done, total=total)

    def close(self, report: Report) -> Report:
        """Write the report and return it."""
        self.tell(
            "report", verdict=report.verdict, sentence=report.sentence, adapter=report.adapter
        )
        text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
        (self.folder / "report.json").write_text(text, encoding="utf-8")
        self.free()
        return report

    def free(self) -> None:
        """Close the file of events."""
        if self._events is not None:
            self._events.close()
            self._events = None


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
    with _alone(home), Journal(home.journal) as journal:
        publish.sweep(home)
        differences = journal.differences()
        base = BaseEntry(sha256=_base_sha256(model_path, home), name=model_path.name)
        _require_something(home, differences, base, settings, force=force)
        run = _Run(_run_folder(home), on_event, cancel or threading.Event())
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
        _prune_runs(home)
        return report


def _night(
    home: Home,
    settings: Settings,
    journal: Journal,
    differences: Sequence[Difference],
    base: BaseEntry,
    model_path: Path,
    run: _Run,
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
    run: _Run,
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
    run: _Run,
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


def _fail(run: _Run, error: BaseException, base: BaseEntry) -> None:
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
    if not teaching and _forgotten(home, differences):
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


def _run_folder(home: Home) -> Path:
    stamp = now().strftime("%Y%m%dT%H%M%S")
    folder = home.runs / stamp
    try:
        home.runs.mkdir(parents=True, exist_ok=True)
        for number in range(2, 100):
            try:
                folder.mkdir()
                break
            except FileExistsError:
                folder = home.runs / f"{stamp}-{number}"
    except OSError as error:
        raise HomeError(f"cannot make {folder}: {error.strerror}; check its permissions") from error
    return folder


def _prune_runs(home: Home) -> None:
    """Keep the latest runs, and of those but the last no weights."""
    runs = sorted(entry for entry in home.runs.iterdir() if entry.is_dir())
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    for run in runs[-KEPT_RUNS:-1]:
        for left in run.glob("try-*"):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the lock of this home's training."""
    import fcntl

    path = home.state / "training.lock"
    try:
        lock = path.open("a+")
    except OSError as error:
        raise HomeError(f"cannot write {path}: {error.strerror}; check its permissions") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise TrainingError(
                f"a training is already going on (process {lock.read().strip() or 'unknown'}); "
                "wait for it to end"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


# --- the ledger of nights --------------------------------------------------------------------


def due_moment(settings: Settings, moment: datetime) -> datetime:
    """Return the local time at which a night was last due, seen from `moment` (an aware time)."""
    hour, minute = map(int, settings.night.time.split(":"))
    local = moment.astimezone()
    night = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return night if night <= local else night - timedelta(days=1)


def run_if_due(
    home: Home,
    settings: Settings,
    *,
    model_path: Path | None = None,
    now: datetime | None = None,
    on_event: OnEvent = lambda event: None,
    cancel: threading.Event | None = None,
) -> Report | None:
    """Do the night's run when it is due and nobody has done it; returns its report, else None.

    The ledger has one row a local date. Nights missed while nothing was open are caught up once, by
    the latest of them. A run that was cut off is tried again, three times in all.
    """
    from agent.chat import served_model

    if not settings.night.enabled:
        return None
    home.prepare()
    moment = due_moment(settings, now or datetime.now().astimezone())
    day = moment.date().isoformat()
    owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    with Journal(home.journal) as journal:
        latest = journal.nights(1)
        if latest and latest[0]["day"] > day:
            return None  # the clock or the time zone went back
        if not journal.claim_night(day, owner, stale_after=STALE_SECONDS, attempts=ATTEMPTS):
            return None
        fresh = _news(home, journal.differences(), moment)
        if fresh < settings.night.minimum:
            journal.end_night(day, owner, "nothing", f"{fresh} new differences")
            return None
        with _heartbeat(journal, day, owner):
            try:
                report = run_night(
                    home,
                    settings,
                    model_path=model_path or served_model(settings),
                    on_event=on_event,
                    cancel=cancel,
                )
            except NothingToTrainError as error:
                journal.end_night(day, owner, "nothing", str(error))
                return None
            except DiscernError as error:
                if cancel is None or not cancel.is_set():  # a stopped night is tried again
                    journal.end_night(day, owner, "failed", str(error))
                raise
        journal.end_night(day, owner, report.verdict, report.sentence)
        return report


def _news(home: Home, differences: Sequence[Difference], moment: datetime) -> int:
    """Count what the adapter that serves does not know: differences that waited at `moment`, and
    those it was trained on that were forgotten since."""
    waiting = sum(
        difference.teaches and difference.state is State.WAITING and difference.at <= moment
        for difference in differences
    )
    return waiting + len(_forgotten(home, differences))


def _forgotten(home: Home, differences: Sequence[Difference]) -> set[str]:
    """Return the differences that the serving adapter was trained on and the journal lost."""
    try:
        identity = read_pointer(home.adapters).current
        known = read_adapter(home.adapters, identity).manifest.differences if identity else ()
    except AdapterError:
        return set()
    return set(known) - {difference.id for difference in differences}


@contextmanager
def _heartbeat(journal: Journal, day: str, owner: str) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            journal.beat_night(day, owner)

    thread = threading.Thread(target=beat, name="discern-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
