"""`discern train` and `discern report`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.adapters import read_pointer
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference, write_quick_settings
from tui.cli.main import run

pytestmark = pytest.mark.usefixtures("shared_base_answers")


def ready(home: Home, steps: int) -> None:
    write_quick_settings(home, training={"max_steps": steps})
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))


def train_until_it_learns(tiny: Path) -> subprocess.Popen[str]:
    """Start `discern train` and return once its first steps were made."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tui", "train", "--json", "--model", str(tiny)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    for line in child.stderr:
        if "train" in line:
            return child
    raise AssertionError("it never trained")


@pytest.fixture
def practised(home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """A home with a dry practice run of two episodes; return its report."""
    ready(home, 3)
    words = ["train", "--episodes", "2", "--steps", "2", "--dry-run", "--json"]
    assert run([*words, "--model", str(tiny)]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_dry_practice_run_publishes_nothing_and_is_reported(
    home: Home,
    practised: dict[str, object],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert practised["verdict"] == "practised"
    assert read_pointer(home.adapters).current is None
    assert run(["report"]) == 0
    assert capsys.readouterr().out.startswith("✓ Practice run")
    assert run(["report", "--list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["verdict"] == "practised"
    page = tmp_path / "page.html"
    assert run(["report", row["run"][:8], "--html", str(page)]) == 0
    assert "<!doctype html>" in page.read_text()
    capsys.readouterr()
    assert run(["report", "-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == practised

    # A report that does not exist, and a page that cannot be written.
    assert run(["report", "nothing"]) == 2
    assert "no run starts with 'nothing'" in capsys.readouterr().err
    assert run(["report", "--html", str(tmp_path / "no" / "page.html")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_reports_before_the_first_training_are_not_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["report"]) == run(["report", "--list"]) == run(["train", "watch"]) == 0
    assert "No training runs yet" in capsys.readouterr().out
    assert run(["train", "stop"]) == 2
    assert "no training is running" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_stops_the_training_and_keeps_the_best_state(home: Home, tiny: Path) -> None:
    ready(home, 100_000)
    child = train_until_it_learns(tiny)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "Traceback" not in err
    assert "the best state so far" in err
    report = json.loads(out)
    assert report["verdict"] == "published"
    assert report["attempts"][0]["reason"] == "stopped"
    assert read_pointer(home.adapters).current == report["adapter"]


@pytest.mark.slow
def test_ctrl_c_twice_aborts_the_training(home: Home, tiny: Path) -> None:
    ready(home, 100_000)
    child = train_until_it_learns(tiny)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    for line in child.stderr:
        if "the best state so far" in line:
            break
    child.send_signal(signal.SIGINT)
    _out, err = child.communicate(timeout=120)
    # The second may arrive when the first has already produced an adapter, which is then kept.
    if child.returncode != 0:
        assert child.returncode == 2
        assert "the training was stopped" in err
        assert read_pointer(home.adapters).current is None


@pytest.mark.slow
def test_another_terminal_watches_and_stops_a_training(
    home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(home, 100_000)
    child = train_until_it_learns(tiny)
    assert run(["train", "stop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["told"] == "stop"
    assert run(["train", "watch", "--json"]) == 0
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert json.loads(out)["attempts"][0]["reason"] == "stopped"
    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert seen == [None] or seen[-1]["phase"] == "report"
