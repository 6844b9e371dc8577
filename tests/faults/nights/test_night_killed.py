"""A night whose training child, own process or both are killed, and one whose training fails.

The ledger resumes an interrupted night at most three times; no process, lock or partial file is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import find_adapter, read_pointer, verify
from memory.difference import State
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.processes import PROGRAMS, ROOT, Night, children
from tests.support.values import difference

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are looked at through /proc"
)
FIRST = datetime(2026, 3, 10, 4, tzinfo=UTC).astimezone()


def mark(home: Home) -> str:
    item = difference("Who?", "Lutz.", at=FIRST - timedelta(days=5))
    with Journal(home.journal) as journal:
        journal.differences.add(item)
    return item.id


def rows(home: Home) -> list[tuple[str, int]]:
    with Journal(home.journal) as journal:
        return [(night.state, night.attempt) for night in reversed(journal.nights.latest(50))]


def night(number: int) -> dict[str, Any]:
    return {"now": (FIRST + timedelta(days=number)).isoformat(), "events": True}


def wait_for(process: Night, phase: str, count: int = 1) -> bool:
    """Read on to the `count`-th event of a phase; False when the night ended before it."""
    seen = 0
    for line in process.lines():
        seen += line.get("event", {}).get("phase") == phase
        if seen == count:
            return True
        if "answer" in line:
            return False
    return False


def trains(pid: int) -> bool:
    """Whether a process is the training, and not one that renders a chat template."""
    return b"trainer.fit" in Path(f"/proc/{pid}/cmdline").read_bytes()


def gone(pids: list[int]) -> bool:
    """Whether all these processes end within ten seconds."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended, _, _ = select.select([watch], [], [], 10)
        os.close(watch)
        if not ended:
            return False
    return True


def nothing_is_left(home: Home) -> None:
    for name in ("night.lock", "training.lock"):
        with (home.state / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not list(home.adapters.glob(".discern-*"))
    with Journal(home.journal) as journal:
        assert journal.check() is None


def serves(home: Home) -> str | None:
    current = read_pointer(home.adapters).current
    if current is not None:
        verify(find_adapter(home.adapters, current))
    return current


@pytest.mark.slow
def test_a_night_whose_child_is_killed_is_resumed_by_the_next_check(home: Home, tiny: Path) -> None:
    identity = mark(home)
    with Night(home.data, tiny) as process:
        process.ask(**night(0))
        assert wait_for(process, "train")
        (child,) = [pid for pid in children(process.process.pid) if trains(pid)]
        os.kill(child, signal.SIGKILL)
        answer = process.hear("answer")
        assert answer["error"] == "CutOffError"
        assert "was killed (signal 9)" in answer["sentence"]
        assert not any(map(trains, children(process.process.pid)))  # no zombie either
        assert rows(home) == [("running", 1)]
        nothing_is_left(home)
        assert process.night(**night(0)) == {"verdict": "published"}
        assert process.night(**night(0)) == {"verdict": None}
    assert rows(home) == [("published", 2)]
    assert serves(home)
    with Journal(home.journal) as journal:
        assert journal.differences.get(identity).state in (State.TRAINED, State.FAILING)


@pytest.mark.slow
def test_a_night_whose_process_is_killed_leaves_no_orphan_and_is_resumed(
    home: Home, tiny: Path
) -> None:
    mark(home)
    with Night(home.data, tiny) as process:
        process.ask(**night(0))
        assert wait_for(process, "train")
        born = children(process.process.pid)
        assert born
        process.kill()
        assert gone(born)
    nothing_is_left(home)
    with Night(home.data, tiny) as process:
        assert process.night(**night(0)) == {"verdict": "published"}
    assert rows(home) == [("published", 2)]


@pytest.mark.slow
def test_ten_kills_of_the_child_at_random_steps_fail_three_nights_at_most(
    home: Home, tiny: Path, record_property: Callable[[str, object], None]
) -> None:
    mark(home)
    record_property("faults", 10)
    draw = random.Random(5)
    with Night(home.data, tiny) as process:
        for number, kills in enumerate((3, 3, 3, 1)):
            for attempt in range(1, kills + 1):
                process.ask(**night(number))
                phase, most = draw.choice([("compose", 1), ("train", 5), ("load", 1), ("train", 3)])
                assert wait_for(process, phase, draw.randint(1, most))
                for child in children(process.process.pid):
                    os.kill(child, signal.SIGKILL)
                assert process.hear("answer")["error"] == "CutOffError"
                assert not any(map(trains, children(process.process.pid)))
                assert rows(home)[-1] == ("failed" if attempt == 3 else "running", attempt)
                nothing_is_left(home)
                assert serves(home) is None
        assert process.night(**night(3)) == {"verdict": "published"}
    assert rows(home) == [("failed", 3)] * 3 + [("published", 2)]
    assert serves(home)


@pytest.mark.slow
@pytest.mark.parametrize(
    "phase", ["start", "anchors", "train", "trained", "gate", "publish", "report"]
)
@pytest.mark.parametrize("both", [False, True])
def test_a_night_killed_in_any_phase_is_resumed(
    home: Home, tiny: Path, phase: str, both: bool
) -> None:
    mark(home)
    with Night(home.data, tiny) as process:
        process.ask(**night(0))
        assert wait_for(process, phase)
        born = children(process.process.pid)
        if both:
            for child in born:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        process.kill()
        assert gone(born)
    serves(home)
    with Night(home.data, tiny) as process:
        answer = process.night(**night(0))
        assert process.night(**night(0)) == {"verdict": None}
    # If it was killed after publishing, the next attempt closes the row with the result it finds.
    assert answer in ({"verdict": "published"}, {"verdict": None})
    assert [state for state, _attempt in rows(home)] == ["published"]
    assert serves(home)
    nothing_is_left(home)
    with Journal(home.journal) as journal:
        assert not journal.differences.count(State.WAITING)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--once"], []])
def test_a_stopped_service_leaves_the_night_to_be_resumed(
    home: Home, tiny: Path, options: list[str]
) -> None:
    mark(home)
    home.settings_file.write_text(f"""
[model]
path = "{tiny}"
[training]
max_steps = 4000
threads = 1
[night]
time = "{datetime.now().astimezone():%H:%M}"
""")
    (home.adapters / ".discern-0123456789abcdef").mkdir(parents=True)
    command = [sys.executable, "-m", "tui", "night", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "train" in line.split():
                break
        born = children(process.pid)
        process.terminate()
        process.stderr.read()
        process.wait(20)
    assert gone(born)
    assert rows(home) == [("waiting", 1)]
    nothing_is_left(home)


def broken(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROGRAMS / "broken_training"))
    monkeypatch.setenv("FAULT_TRAINING", fault)


@pytest.mark.slow
def test_running_out_of_memory_once_halves_the_micro_batch_and_continues(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(home)
    broken(monkeypatch, "memory once")
    with Night(home.data, tiny) as process:
        process.ask(**night(0))
        events, answer = [], None
        for line in process.lines():
            events.append(line.get("event", {}))
            if answer := line.get("answer"):
                break
    assert any("halved" in event for event in events)
    assert answer == {"verdict": "published"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("memory always", "ran out of memory"),
        ("no number", "became unstable"),
    ],
)
def test_a_training_that_cannot_run_fails_the_night_with_one_sentence(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    mark(home)
    broken(monkeypatch, fault)
    with Night(home.data, tiny) as process:
        answer = process.night(**night(0))
        assert answer["error"] == "TrainingError"
        assert words in answer["sentence"]
        assert "\n" not in answer["sentence"]
        assert process.night(**night(0)) == {"verdict": None}
    assert rows(home) == [("failed", 1)]
    assert serves(home) is None
    report = json.loads(next(home.runs.glob("*/report.json")).read_text())
    assert words in report["sentence"]
    nothing_is_left(home)


@pytest.mark.parametrize("under", [pytest.param("/adapter/", marks=pytest.mark.slow), "/runs/"])
def test_a_disk_that_fills_while_weights_are_written_fails_the_night_with_one_sentence(
    home: Home,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken_disk: Path,
    under: str,
) -> None:
    mark(home)
    monkeypatch.setenv("LD_PRELOAD", str(broken_disk))
    for name, value in (("CALL", "write"), ("UNDER", under), ("AT", "3"), ("ERRNO", "28")):
        monkeypatch.setenv(f"FAULT_{name}", value)
    monkeypatch.setenv("FAULT_FOR_GOOD", "1")
    monkeypatch.setenv("FAULT_AT", "1" if under == "/adapter/" else "8")
    with Night(home.data, tiny) as process:
        answer = process.night(**night(0))
    assert answer["error"] in ("TrainingError", "HomeError")
    assert "No space left on device" in answer["sentence"]
    assert "\n" not in answer["sentence"]
    assert rows(home) == [("failed", 1)]
    assert serves(home) is None
    nothing_is_left(home)
