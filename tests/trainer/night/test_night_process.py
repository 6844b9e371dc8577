"""A night in a child process: same outcome, low priority, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters import read_pointer
from memory.errors import CutOffError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.events import Event, Started, Step
from trainer.night.night_process import run_in_child
from trainer.night.once_per_date import run_if_due
from trainer.night.request import Cancellation, RunRequest

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def mark(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))


@pytest.mark.slow
@linux
def test_a_night_in_a_child_process_has_low_priority_and_returns_the_same_report(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(home)
    monkeypatch.setenv("DISCERN_NICE", "7")
    seen: dict[str, int] = {}

    def on_event(event: Event) -> None:
        seen[event.phase] = os.getpriority(os.PRIO_PROCESS, pid) if (pid := process(event)) else 0

    night: list[int] = []

    def process(event: Event) -> int:
        if isinstance(event, Started):
            assert event.asked_by == os.getpid()
            night.append(event.pid)
        return night[0]

    report = run_in_child(RunRequest(home, quick_settings(home), tiny), on_event=on_event)
    assert report.verdict == "published"
    assert report.adapter == read_pointer(home.adapters).current
    assert not (home.state / "night.log").exists()
    assert {"compose", "anchors", "beside", "train", "gate", "publish"} <= set(seen)
    assert seen["compose"] == seen["gate"] == 7  # not only the training
    assert night[0] != os.getpid()
    assert not Path(f"/proc/{night[0]}").exists()
    with pytest.raises(NothingToTrainError, match="nothing has changed"):
        run_in_child(RunRequest(home, quick_settings(home), tiny))


@pytest.mark.slow
@pytest.mark.parametrize(
    "phase",
    ["train", *(pytest.param(name, marks=pytest.mark.slow) for name in ("anchors", "gate"))],
)
def test_a_night_in_a_child_process_can_be_cancelled(home: Home, tiny: Path, phase: str) -> None:
    mark(home)
    cancel = Cancellation()

    def on_event(event: Event) -> None:
        if event.phase == phase:
            cancel.set()

    settings = quick_settings(home, training={"max_steps": 100_000} if phase == "train" else {})
    if phase == "train":
        with pytest.raises(TrainingError, match="stopped"):
            run_in_child(RunRequest(home, settings, tiny), on_event=on_event, cancel=cancel)
        assert read_pointer(home.adapters).current is None
    else:  # a run that is nearly done may finish before it sees the request
        try:
            run_in_child(RunRequest(home, settings, tiny), on_event=on_event, cancel=cancel)
        except TrainingError as error:
            assert "stopped" in str(error)  # noqa: PT017 - it may also finish first
            assert read_pointer(home.adapters).current is None


@pytest.mark.slow
@linux
def test_a_killed_night_counts_as_an_interrupted_attempt(home: Home, tiny: Path) -> None:
    mark(home)

    def on_event(event: Event) -> None:
        if isinstance(event, Started):
            os.kill(event.pid, signal.SIGKILL)

    with pytest.raises(CutOffError, match="was killed"):
        run_in_child(RunRequest(home, quick_settings(home), tiny), on_event=on_event)
    report = run_in_child(RunRequest(home, quick_settings(home), tiny))  # its locks are free
    assert report.verdict == "published"


@linux
def test_a_night_and_its_training_end_with_the_chat_that_started_them(
    home: Home, tiny: Path
) -> None:
    mark(home)
    settings = quick_settings(home, training={"max_steps": 100_000})
    program = f"""
import sys
from pathlib import Path
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.night.night_process import run_in_child
from trainer.night.request import RunRequest
from trainer.events import Started, Step
def tell(event):
    if isinstance(event, Started): print(event.pid, flush=True)
    if isinstance(event, Step) and event.step == 2: print("step", flush=True)
settings = Settings.model_validate_json({settings.model_dump_json()!r})
run_in_child(RunRequest(Home.locate(), settings, Path({str(tiny)!r})), on_event=tell)
"""
    chat = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with chat:
        assert chat.stdout is not None
        night = int(chat.stdout.readline())
        assert chat.stdout.readline() == "step\n"
        children = Path(f"/proc/{night}/task").glob("*/children")
        trainee = [int(word) for path in children for word in path.read_text().split()]
        assert trainee
        watched = [os.pidfd_open(pid) for pid in (night, *trainee)]
        chat.kill()
        import select

        for watch in watched:
            ended, _, _ = select.select([watch], [], [], 20)
            os.close(watch)
            assert ended


@linux
@pytest.mark.slow
def test_a_night_whose_process_is_killed_is_resumed_by_the_next_check(
    home: Home, tiny: Path
) -> None:
    mark(home)
    settings = quick_settings(home)
    clock = datetime.now().astimezone() + timedelta(days=2)

    def killed(event: Event) -> None:
        if isinstance(event, Started):
            os.kill(event.pid, signal.SIGKILL)

    with pytest.raises(CutOffError):
        run_if_due(RunRequest(home, settings, tiny), now=clock, on_event=killed, run=run_in_child)
    report = run_if_due(RunRequest(home, settings, tiny), now=clock, run=run_in_child)
    assert report is not None
    assert report.verdict == "published"
    assert run_if_due(RunRequest(home, settings, tiny), now=clock, run=run_in_child) is None
    with Journal(home.journal) as journal:
        night = journal.nights.latest(1)[0]
    assert (night.state, night.attempt) == ("published", 2)


@linux
@pytest.mark.slow
def test_a_night_suspended_by_a_closing_chat_is_resumed(home: Home, tiny: Path) -> None:
    mark(home)
    settings = quick_settings(home, training={"max_steps": 100_000})
    clock = datetime.now().astimezone() + timedelta(days=2)
    cancel = Cancellation()

    def leave(event: Event) -> None:
        if isinstance(event, Step) and event.step == 2:
            cancel.suspend()

    with pytest.raises(TrainingError, match="stopped"):
        run_if_due(
            RunRequest(home, settings, tiny),
            now=clock,
            on_event=leave,
            cancel=cancel,
            run=run_in_child,
        )
    with Journal(home.journal) as journal:
        assert journal.nights.latest(1)[0].state == "waiting"
    report = run_if_due(RunRequest(home, quick_settings(home), tiny), now=clock, run=run_in_child)
    assert report is not None
    assert report.verdict == "published"
