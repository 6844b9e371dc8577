"""A night, top to bottom: collect → compose → stand → train → export → probe → gate → publish or
reject.

`run_night` does it now; `trainer/night/ledger.py` knows whether tonight's run is still to be done. The
training is a child process that is killed with us, and nothing is published before the gate has passed
the very files that will serve.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.adapters import Adapter, BaseEntry
from memory.difference import Difference
from memory.errors import AdapterError, DiscernError, HomeError, SupersededError, TrainingError
from memory.journal.journal import Journal
from memory.settings.settings import Home, Settings
from trainer.adapters import publish
from trainer.evaluate import gate
from trainer.lessons.provenance import Basis, last_look, read_basis, scrub, settle, watching
from trainer.night.adapter_staleness import (
    entry_of,
    fingerprints,
    fit_for,
    forgotten,
    news,
    require_news,
    serving,
    waits,
)
from trainer.night.gpu_placement import make_way
from trainer.night.run import STOPPED, OnEvent, Run, alone, prune_runs, run_folder, sweep_runs
from trainer.night.trial import Practice, Tried, broken_down, make, plans
from trainer.report.report import Attempt, Report, read_report
from trainer.subprocesses import asked_by

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.evaluate.baselines import Standing
    from trainer.evaluate.served_config import Recaller
    from trainer.launch.launch import Launcher
    from trainer.lessons.lessons import Curriculum

__all__ = ["Practice", "forgotten", "run_night"]


def run_night(
    home: Home,
    settings: Settings,
    *,
    model_path: Path,
    on_event: OnEvent = lambda event: None,
    force: bool = False,
    cancel: threading.Event | None = None,
    stop: threading.Event | None = None,
    practice: Practice | None = None,
) -> Report:
    """Train on every difference that teaches, judge the adapter, and publish it when it passes.

    `on_event` hears small dicts with at least "phase": start, compose, anchors, beside, load, train
    (step, steps, loss, learnt, …), export, probe, gate (done, total), publish, report. `cancel`, when
    set, leaves nothing; `stop` ends the training at its best state so far, which is then tested as
    ever. Both may also be told from another process (`trainer.night.run.tell_run`). `force` trains
    even when nothing changed since the last adapter. `practice` makes several short runs instead of
    a sweep.

    Returns a report whose verdict is "published", "rejected" or (a dry practice) "practised".

    Raises:
        NothingToTrainError: no difference teaches, or nothing changed since the adapter that serves.
        TrainingError: another run is going on, this one was stopped, or the training broke down.
        SupersededError: something that was marked was taken away meanwhile; nothing was published.
        ModelError, AdapterError, HomeError: what else can be wrong, in one sentence.
    """
    from trainer.launch.launch import launcher

    home.prepare()
    with alone(home), Journal(home.journal) as journal:
        publish.sweep(home)
        sweep_runs(home)
        basis = read_basis(journal)
        differences = basis.differences
        base = entry_of(model_path, home)
        current = serving(home)
        found = news(current, differences, base)
        prints = fingerprints(differences)
        teaching = len(prints)
        if not teaching and found.gone:
            publish.select(home, None)
        if not (force or practice) or not teaching:
            require_news(found, teaching, current, len(differences))
            publish.require_not_withdrawn(home, base, prints)
        run = Run(run_folder(home), on_event, cancel or threading.Event())
        run.stop = stop or run.stop
        run.guard = watching(journal, basis)
        night = _Night(home, settings, journal, basis, base, model_path, run, practice)
        try:
            with run.listening():
                run.tell(
                    "start",
                    pid=os.getpid(),
                    asked_by=asked_by(),
                    model=base.name,
                    tries=len(plans(settings, practice)),
                    practice=practice is not None,
                )
                night.settings = settings = make_way(home, settings, model_path, run)
                with launcher(settings, model_path, base.sha256, run.folder, run.cancel) as trainee:
                    report = night.go(trainee, fit_for(current, base), found.other_base)
        except BaseException as error:
            _fail(run, error, base)
            with suppress(DiscernError):  # the error itself is what is to be told
                scrub(home, journal, basis)
            if isinstance(error, OSError) and not isinstance(error, DiscernError):
                raise HomeError(
                    "the training broke off: {filename}: {strerror}; what served before "
                    "serves on, mend the cause and train again",
                    filename=error.filename or run.folder,
                    strerror=error.strerror,
                ) from error
            raise
        publish.prune(home, settings.night.keep)
        if scrub(home, journal, basis):
            report = read_report(run.folder) or report
        prune_runs(home)
        return report


@dataclass(slots=True)
class _Night:
    """All that the steps of one night share."""

    home: Home
    settings: Settings
    journal: Journal
    basis: Basis
    base: BaseEntry
    model_path: Path
    run: Run
    practice: Practice | None

    @property
    def differences(self) -> Sequence[Difference]:
        return self.basis.differences

    def go(self, trainee: Launcher, current: Adapter | None, note: str) -> Report:
        from agent.llama.engine import Engine
        from trainer.evaluate.baselines import stand
        from trainer.evaluate.torch_parity import require_agreement

        run = self.run
        require_agreement(self.model_path)
        run.tell("compose", differences=sum(item.teaches for item in self.differences))
        with Engine.open(self.model_path, self.settings.model) as engine:
            curriculum = self.compose(engine)
            run.tell(
                "beside",
                lessons=[
                    [x.difference, x.kind, 1 + len(x.rephrasings)] for x in curriculum.lessons
                ],
            )
            standing = stand(
                engine,
                curriculum.lessons,
                self.recaller(engine, curriculum),
                current,
                run.counting("beside"),
            )
            best, attempts = self.sweep(trainee, engine, curriculum, standing)
        adapter = None
        dry = self.practice is not None and self.practice.dry
        if best.verdict.passed and not dry:
            run.tell("publish")
            adapter = self.publish(best, curriculum)
        return self.close(best, attempts, curriculum, standing, adapter, note, dry=dry)

    def compose(self, engine: Engine) -> Curriculum:
        """Return the lessons and the base's answers to all that must stay."""
        from trainer.lessons.anchors import Answers
        from trainer.lessons.lessons import make_curriculum, threads_now, unmarked

        answers = Answers(engine, self.base.sha256, self.home.cache)
        curriculum = make_curriculum(
            engine,
            self.differences,
            answers,
            self.settings,
            self.run.counting("anchors"),
            own=unmarked(self.journal.turns(), self.differences),
            threads=threads_now(self.journal, self.differences),
        )
        answers.save()
        if not curriculum.lessons:
            left = list(curriculum.left_out.values())
            why = left[0] if left else "none says how it should have sounded"
            raise TrainingError("no difference can be made a lesson: {why}", why=why)
        return curriculum

    def sweep(
        self, trainee: Launcher, engine: Engine, curriculum: Curriculum, standing: Standing
    ) -> tuple[Tried, tuple[Attempt, ...]]:
        """Make the tries one after the other; returns the best and a line on each.

        A sweep ends with the first that passes: a further rate costs as much again and did no better
        where it was tried. A practice makes all its episodes. One that
        breaks down is noted, and an error only when none came through.
        """
        began = time.perf_counter()
        budget = self.settings.training.max_minutes * 60
        made: list[Tried] = []
        broken: list[Attempt] = []
        error: Exception | None = None
        for plan in plans(self.settings, self.practice):
            left = budget - (time.perf_counter() - began)
            if made and (left <= 0 or self.run.stop.is_set()):
                break
            try:
                tried = make(
                    plan,
                    trainee,
                    self.run,
                    engine,
                    self.model_path,
                    curriculum,
                    self.settings,
                    standing.held,
                    self.recaller(engine, curriculum),
                    max(1.0, left),
                )
            except SupersededError:
                raise
            except (TrainingError, AdapterError) as found:
                if self.run.cancel.is_set():
                    raise TrainingError(STOPPED) from found
                error = found
                broken.append(broken_down(plan, found))
                continue
            made.append(tried)
            # A few lessons that were not learnt may be at another rate.
            if self.practice is None and tried.verdict.passed and not tried.verdict.unlearnt:
                break
        if not made:
            raise error or TrainingError(STOPPED)
        best = max(made, key=lambda tried: tried.rank)
        lines = [tried.entry(chosen=tried is best) for tried in made]
        return best, tuple(sorted([*lines, *broken], key=lambda line: line.number))

    def recaller(self, engine: Engine, curriculum: Curriculum) -> Recaller:
        """Return what the chat recalls for a message, under an adapter and without."""
        from trainer.evaluate.served_config import Recaller

        superseded = curriculum.superseded
        return Recaller(engine, self.journal, self.settings, self.differences, superseded)

    def publish(self, best: Tried, curriculum: Curriculum) -> Adapter:
        """Let the adapter serve, unless the base is no longer the file it was trained and tested on, or
        something it was trained on was taken away.

        Raises:
            TrainingError: the model file changed meanwhile.
            SupersededError: what was marked is no longer there.
        """
        if (base := entry_of(self.model_path, self.home)) != self.base:
            raise TrainingError(
                "the model {model_path} changed while its adapter was trained ({sha256} → "
                "{sha2562}); nothing was published, `discern train` trains for the new one",
                model_path=self.model_path,
                sha256=self.base.sha256[:8],
                sha2562=base.sha256[:8],
            )
        from trainer.evaluate.served_config import holdings

        training = self.settings.training.model_dump()
        return publish.publish(
            self.home,
            best.folder / "adapter",
            base=self.base,
            scale=best.verdict.scale,
            differences=curriculum.differences,
            fingerprints=fingerprints(self.differences),
            holds=holdings(best.verdict.holds, self.differences, curriculum.superseded),
            settings={**training, "learning_rate": best.plan.rate, "seed": best.plan.seed},
            metrics=gate.measures_to_json(best.verdict.measures),
            versions={name: version(name) for name in ("torch", "peft", "transformers", "gguf")},
            probe=lambda adapter: gate.probe(adapter, self.model_path),
            last_look=last_look(self.journal, self.basis),
        )

    def close(
        self,
        best: Tried,
        attempts: tuple[Attempt, ...],
        curriculum: Curriculum,
        standing: Standing,
        adapter: Adapter | None,
        note: str,
        *,
        dry: bool,
    ) -> Report:
        """Note where each difference stands, and write the report."""
        from trainer.evaluate.baselines import no_better
        from trainer.night import postmortem

        verdict, run = best.verdict, self.run
        fates = postmortem.fates(self.differences, curriculum, best, standing)
        if not dry:
            states = postmortem.states(fates, standing.held, published=adapter is not None)
            settle(self.journal, self.basis, states)
        better = no_better(standing.rows, verdict.spoken)
        warned = [item.sentence for item in verdict.measures if item.warned and verdict.passed]
        conflicts = [conflict.sentence for conflict in curriculum.conflicts]
        capped = postmortem.capped(best, self.settings)
        outcome = "published" if adapter else "practised" if verdict.passed else "rejected"
        return run.close(
            Report(
                verdict=outcome,  # type: ignore[arg-type]  # one of its literals
                sentence=postmortem.sentence(curriculum, verdict, dry=dry)
                + waits(self.home, adapter),
                started=run.started,
                seconds=round(time.perf_counter() - run.began, 2),
                model=self.base.name,
                adapter=adapter.id if adapter else None,
                scale=verdict.scale,
                learning_rate=best.plan.rate,
                fates=fates,
                measures=verdict.measures,
                changes=verdict.changes,
                curve=tuple(best.curves.points),
                phases=run.spent(),
                run=str(run.folder),
                beside=(*standing.rows, *postmortem.rows(verdict)),
                attempts=attempts,
                notes=tuple(filter(None, [note, better, capped, *warned, *conflicts])),
                advice=postmortem.advice(verdict, fates, best, self.settings),
            )
        )


def _fail(run: Run, error: BaseException, base: BaseEntry) -> None:
    """Leave a report of a run that broke down; never hides the error itself."""
    run.cancel, run.guard = threading.Event(), lambda: None
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
                phases=run.spent(),
                run=str(run.folder),
            )
        )
    except Exception:
        with suppress(OSError):
            run.free()
