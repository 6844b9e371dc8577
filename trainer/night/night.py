"""One run of the training: from the marked differences to a published adapter and a report.

Compose, measure the baselines, train and gate each trial, then publish or reject.

`run_night` runs it at once; `trainer/night/once_per_date.py` decides whether tonight's run is due. The
steps are those of `trainer/pipeline.py`. Training runs in a child process that ends with this one, and
nothing is published before the gate has passed the files that will be served.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.adapters import Adapter
from memory.difference import Difference
from memory.errors import (
    AdapterError,
    DiscernError,
    HomeError,
    NothingToTrainError,
    SupersededError,
    TrainingError,
)
from memory.journal.journal import Journal
from memory.sentence import Sentence, joined, verbatim
from memory.settings.settings import Settings
from trainer import pipeline
from trainer.adapters import publish
from trainer.adapters.adapter_staleness import (
    entry_of,
    fingerprints,
    fit_for,
    news,
    pending_note,
    require_news,
    serving,
)
from trainer.evaluate.baselines import Baselines, measure_baselines, no_better
from trainer.events import Composing, LessonsComposed, LessonSize, OnEvent, Publishing, Started
from trainer.launch.launch import launcher
from trainer.launch.worker_client import STOPPED
from trainer.lessons.journal_snapshot import change_guard, record_states, scrub_runs, take_snapshot
from trainer.night import interrupted_trials, postmortem
from trainer.night.budget.night_budget import NightBudget
from trainer.night.gpu_sharing import make_room
from trainer.night.request import Cancellation, Practice, RunRequest
from trainer.night.run import Run, make_run_folder, prune_runs, training_lock
from trainer.night.trials.next_trial import first_plans, most_trials, next_plan
from trainer.night.trials.sweep import Sweep
from trainer.night.trials.trial import TrialContext, run_trial
from trainer.report.report import Report, read_report
from trainer.subprocesses import asked_by

if TYPE_CHECKING:
    from agent.adapters import BaseEntry
    from agent.llama.engine import Engine
    from trainer.launch.launch import Launcher


def run_night(
    request: RunRequest,
    *,
    on_event: OnEvent = lambda event: None,
    cancel: Cancellation | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Train on all differences that teach, evaluate the adapter, and publish it if it passes the gate.

    `on_event` receives the events of `trainer.events`, from `Started` to `Reported`. `cancel` ends the
    run without a result; `stop` ends the training at its best state so far, which is then evaluated as
    usual. Both may also come from another process (`trainer.night.run.request_end`).

    The verdict of the report is "published", "rejected" or (for a dry practice) "practised".

    Raises:
        NothingToTrainError: no difference teaches, or nothing changed since the current adapter.
        TrainingError: another run is in progress, this one was stopped, or the training failed.
        SupersededError: a difference was removed or superseded meanwhile; nothing was published.
        ModelError, AdapterError, HomeError: the model, the adapter or the home cannot be used.
    """
    home, settings, practice = request.home, request.settings, request.practice
    model_path = request.model_path
    home.prepare()
    with training_lock(home), Journal(home.journal) as journal:
        publish.sweep(home)
        snapshot = take_snapshot(journal)
        differences = snapshot.differences
        base = entry_of(model_path, home)
        current = serving(home)
        found = news(current, differences, base)
        prints = fingerprints(differences)
        teaching = len(prints)
        if not teaching and found.gone:
            publish.select(home, None)
        if not (request.force or practice) or not teaching:
            require_news(found, teaching, current, len(differences))
            publish.require_not_withdrawn(home, base, prints)
        run = Run(make_run_folder(home), on_event, cancel or Cancellation())
        resumed = interrupted_trials.take_over(home, run.folder)
        run.stop = stop or run.stop
        run.guard = change_guard(journal, snapshot)
        source = pipeline.Source(home, model_path, base, snapshot)
        budget = NightBudget(
            run, home, settings, base.sha256, most_trials(practice), practice is not None
        )
        budget.resumed = resumed
        run.listeners.append(budget.hear)
        training = _TrainingRun(settings, journal, source, run, practice, budget)
        try:
            with run.watching_control():
                run.emit(
                    Started(
                        pid=os.getpid(),
                        asked_by=asked_by(),
                        model=base.name,
                        tries=most_trials(practice),
                        practice=practice is not None,
                        began=run.started,
                    )
                )
                training.settings = budget.settings = settings = make_room(
                    home, settings, model_path, run
                )
                with launcher(settings, model_path, base.sha256, run.folder, run.cancel) as worker:
                    report = training.execute(worker, fit_for(current, base), found.other_base)
        except BaseException as error:
            if run.cancel.is_set() and not run.cancel.suspended:
                interrupted_trials.discard(run.folder)
            _fail(run, error, base)
            with suppress(DiscernError):  # the original error matters more
                scrub_runs(home, journal, snapshot)
            if isinstance(error, OSError) and not isinstance(error, DiscernError):
                raise HomeError(
                    "the training failed: {filename}: {strerror}; fix the problem and train again "
                    "(the current adapter is unchanged)",
                    filename=error.filename or run.folder,
                    strerror=error.strerror,
                ) from error
            raise
        finally:
            # The budget, which has all answers of the base, and the run refer to each other.
            run.listeners.clear()
        publish.prune(home, settings.night.keep)
        if scrub_runs(home, journal, snapshot):
            report = read_report(run.folder) or report
        prune_runs(home)
        return report


@dataclass(slots=True)
class _TrainingRun:
    """One run of the training, from composing the lessons to the report."""

    settings: Settings
    journal: Journal
    source: pipeline.Source
    run: Run
    practice: Practice | None
    budget: NightBudget

    @property
    def differences(self) -> Sequence[Difference]:
        return self.source.snapshot.differences

    def execute(self, worker: Launcher, current: Adapter | None, note: Sentence) -> Report:
        from agent.llama.engine import Engine
        from trainer.evaluate.torch_parity import require_agreement

        run, model = self.run, self.source.model
        require_agreement(model)
        run.emit(Composing(sum(item.teaches for item in self.differences)))
        with Engine.open(model, self.settings.model) as engine:
            lessons = self.compose(engine, worker, current)
            taught = lessons.curriculum.lessons
            sizes = (LessonSize(x.difference, x.kind, 1 + len(x.rephrasings)) for x in taught)
            run.emit(LessonsComposed(tuple(sizes)))
            with pipeline.served_recall(engine, self.journal, lessons, self.settings) as recall:
                baselines = measure_baselines(
                    engine, taught, recall, current, run.count_progress("beside")
                )
            sweep = self.sweep(
                TrialContext(
                    run,
                    self.settings,
                    worker,
                    engine,
                    self.journal,
                    lessons,
                    baselines.held,
                    lambda: self.budget.allows_another_scale,
                )
            )
        best = sweep.best
        adapter = None
        dry = self.practice is not None and self.practice.dry
        if best.verdict.passed and not dry:
            run.emit(Publishing())
            adapter = pipeline.publish(self.source.home, self.journal, best.candidate, best.verdict)
        return self.close(sweep, baselines, adapter, note)

    def compose(
        self, engine: Engine, worker: Launcher, current: Adapter | None
    ) -> pipeline.Lessons:
        budget, model = self.budget, self.source.model
        how = pipeline.CompositionOptions(
            self.run.count_progress("anchors"),
            budget.planner(engine, worker, model, current=current is not None),
            budget.asking_is_over,
        )
        try:
            return pipeline.compose(engine, self.journal, self.source, self.settings, how)
        except NothingToTrainError as error:
            # There are marks that teach, so a run that cannot use any of them has failed.
            raise TrainingError(error.sentence) from error

    def sweep(self, context: TrialContext) -> Sweep:
        """Run the trials one after the other, until one passes.

        After a rejection, the reason determines the next trial (`trainer/night/trials/next_trial.py`).
        A practice runs all its episodes. The error of a trial that fails is recorded, and raised only
        if no trial succeeds.
        """
        budget = self.budget
        sweep = Sweep()
        error: Exception | None = None
        waiting = first_plans(self.settings, self.practice)
        while waiting:
            plan = waiting.pop(0)
            if sweep.made and self.run.stop.is_set():
                break
            if sweep.made and not budget.allows_another_try:
                budget.skip(plan.change)
                break
            try:
                sweep.made.append(run_trial(plan, context, budget.training_seconds))
            except SupersededError:
                raise
            except (TrainingError, AdapterError) as found:
                if self.run.cancel.is_set():
                    raise TrainingError(STOPPED) from found
                error = found
                sweep.broken.append((plan, found))
            # The few lessons that were not learned may be learned in another trial.
            if self.practice is None and not sweep.is_over:
                following = next_plan(sweep.tried, sweep.leading, self.settings.training)
                waiting += [following] if following and sweep.count < most_trials(None) else []
        if not sweep.made:
            raise error or TrainingError(STOPPED)
        return sweep

    def close(
        self,
        sweep: Sweep,
        baselines: Baselines,
        adapter: Adapter | None,
        note: Sentence,
    ) -> Report:
        """Record the state of each difference, and write the report."""
        best, training = sweep.best, self.settings.training
        baselines = baselines.without({*best.plan.without, *best.verdict.left_out})
        verdict, run, home = best.verdict, self.run, self.source.home
        curriculum = best.candidate.lessons.curriculum
        dry = self.practice is not None and self.practice.dry
        fates = postmortem.fates(self.differences, curriculum, best, baselines)
        if not dry:
            states = postmortem.states(fates, baselines.held, published=adapter is not None)
            record_states(self.journal, self.source.snapshot, states)
        better = no_better(baselines.rows, verdict.served)
        warned = [item.sentence for item in verdict.measures if item.warned and verdict.passed]
        conflicts = [conflict.sentence for conflict in curriculum.conflicts]
        capped = postmortem.capped(best, self.settings)
        self.budget.end()
        left_out = self.budget.left_out
        outcome = "published" if adapter else "practised" if verdict.passed else "rejected"
        return run.close(
            Report(
                verdict=outcome,  # type: ignore[arg-type]  # one of its literals
                sentence=joined(
                    (
                        postmortem.sentence(curriculum, verdict, dry=dry),
                        pending_note(home, adapter),
                    ),
                    "",
                ),
                started=run.started,
                seconds=round(time.perf_counter() - run.began, 2),
                model=self.source.base.name,
                adapter=adapter.id if adapter else None,
                scale=verdict.scale,
                learning_rate=best.plan.rate,
                fates=fates,
                measures=verdict.measures,
                changes=verdict.changes,
                curve=tuple(best.curves.points),
                phases=run.phase_seconds(),
                estimated=self.budget.estimated,
                run=str(run.folder),
                beside=(*baselines.rows, *postmortem.rows(verdict)),
                attempts=sweep.attempts,
                notes=tuple(
                    filter(
                        None,
                        [
                            note,
                            better,
                            capped,
                            postmortem.noise(verdict),
                            *left_out,
                            *warned,
                            *conflicts,
                        ],
                    )
                ),
                advice=postmortem.advice(
                    best.tried,
                    verdict,
                    fates,
                    self.settings,
                    next_plan(sweep.tried, best.tried, training),
                ),
            )
        )


def _fail(run: Run, error: BaseException, base: BaseEntry) -> None:
    """Write the report of a failed run; errors here are ignored."""
    sentence = (
        error.sentence
        if isinstance(error, DiscernError)
        else verbatim(str(error) or type(error).__name__)
    )
    try:
        run.close(
            Report(
                verdict="failed",
                sentence=sentence,
                started=run.started,
                seconds=round(time.perf_counter() - run.began, 2),
                model=base.name,
                curve=tuple(run.curve),
                phases=run.phase_seconds(),
                run=str(run.folder),
            )
        )
    except Exception:
        with suppress(OSError):
            run.close_events()
