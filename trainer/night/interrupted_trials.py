"""Resume the trials of an interrupted run.

The folder of a trial holds its job and its state as saved by `trainer/fit/resume_training.py`. The next
run moves these folders into its own. A trial whose job is unchanged resumes there; for another job, the
contents are ignored and replaced.

Trials are kept if the process of the run or of its training was killed, or if the night ended because
the chat was closed. A run that the user aborted keeps nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from agent.forget.scrub_run_files import own_runs
from memory.errors import FileError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import read_objects
from memory.settings.paths import Home
from trainer.event_json import logged_to_json, read_logged
from trainer.events import Logged, Step, TrialStarted
from trainer.fit.job import CONTROL_FILE
from trainer.night.run import EVENTS
from trainer.report.report import read_report

STEPS_FILE = "steps.jsonl"
"""File in the folder of a trial with the steps of earlier attempts."""


def take_over(home: Home, folder: Path) -> bool:
    """Move the trials of the last interrupted run into `folder`, that of a new run.

    Those of older runs are removed. Return whether there were any. The caller holds the training lock.
    """
    found = False
    for run in reversed([run for run in own_runs(home) if run != folder and _was_cut_off(run)]):
        trials = sorted(
            path for path in run.glob("try-*") if path.is_dir() and not path.is_symlink()
        )
        for trial in trials:
            if found:
                shutil.rmtree(trial, ignore_errors=True)
                continue
            with suppress(OSError):
                _keep_steps(run, trial)
                (trial / CONTROL_FILE).unlink(missing_ok=True)
                trial.rename(folder / trial.name)
        found = found or bool(trials)
    return found


def discard(folder: Path) -> None:
    """Remove the trials of a run, so that it is not resumed."""
    for trial in folder.glob("try-*"):
        shutil.rmtree(trial, ignore_errors=True)


def earlier_steps(trial: Path) -> tuple[Step, ...]:
    """Return the steps of earlier attempts in the folder of a trial, in order."""
    found: list[Step] = []
    with suppress(OSError, FileError):
        found = list(_steps(map(read_logged, read_objects(trial / STEPS_FILE))))
    return tuple(found)


def merged(earlier: Sequence[Step], later: Sequence[Step]) -> list[Step]:
    """Return the steps of a resumed training; `later` replaces steps that were repeated."""
    first = later[0].step if later else None
    return [*(step for step in earlier if first is None or step.step < first), *later]


def _was_cut_off(run: Path) -> bool:
    if not (run / "report.json").exists():
        return True
    report = read_report(run)
    return report is not None and report.verdict == "failed"


def _keep_steps(run: Path, trial: Path) -> None:
    """Write all steps of a trial so far into its folder, from the events of its runs."""
    number = trial.name.removeprefix("try-")
    current = ""
    mine: list[Step] = []
    with suppress(FileError):
        for line in read_objects(run / EVENTS):
            logged = read_logged(line)
            if logged is None:
                continue
            if isinstance(logged.event, TrialStarted):
                current = str(logged.event.attempt)
            elif isinstance(logged.event, Step) and current == number:
                mine.append(logged.event)
    lines = [
        json.dumps(logged_to_json(Logged(None, step)))
        for step in merged(earlier_steps(trial), mine)
    ]
    write_whole(trial / STEPS_FILE, "".join(f"{line}\n" for line in lines))


def _steps(logged: Iterator[Logged | None]) -> Iterator[Step]:
    for one in logged:
        if one is not None and isinstance(one.event, Step):
            yield one.event
