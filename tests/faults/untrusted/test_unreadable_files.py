"""Damaged, hostile or invalid files in a home: nothing hangs, and everything else keeps working."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters import base_sha256
from agent.chat.chat import Chat
from agent.llama.model_leases import GpuLease, leased_sizes
from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.support.kinds_cache import clear_kinds_cache
from tests.support.values import make_difference, make_turn
from tests.trainer.adapters.test_publish import put
from tests.trainer.report.test_report import full
from trainer.adapters import publish
from trainer.lessons.anchors import base_answers
from trainer.night.run import (
    find_active_run,
    follow,
    prune_runs,
    requested_end,
    training_lock,
    try_lock,
)
from trainer.report.report import Report, every, latest, require_report
from tui.cli.completion_queries import adapters as glanced
from tui.cli.main import run
from tui.training.run_follower import RunFollower
from tui.training.state import read_state

Damage = Callable[[Path], object]
WORDS = "What is a plugharness?"


def _a_folder(path: Path) -> None:
    path.mkdir()
    (path / "report.json").write_text(WORDS)


def _of_three_gigabytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 << 30)


DAMAGES: dict[str, Damage] = {
    "a pipe": os.mkfifo,
    "a folder": _a_folder,
    "three gigabytes": _of_three_gigabytes,
    "nested": lambda path: path.write_text("[" * 100_000 + WORDS),
    "nested objects": lambda path: path.write_text('{"a":' * 5_000 + f'"{WORDS}"' + "}" * 5_000),
    "digits": lambda path: path.write_text(f'{{"a": {"9" * 5_000}, "asked": "{WORDS}"}}'),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" + WORDS.encode()),
    "other JSON": lambda path: path.write_text(f'["{WORDS}", 7]'),
    "odd values": lambda path: path.write_text(
        f'{{"verdict": 7, "fates": 3, "pid": {"9" * 200}, "current": [], "a": "{WORDS}", "id": {{}}}}'
    ),
}


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """Fail a test that waits for a pipe."""

    def waited(_number: int, _frame: object) -> None:
        raise AssertionError("waiting for a file that is never written")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """A home with a turn and a difference in it; returns the difference's id."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    item = make_difference(WORDS)
    with Journal(home.journal) as journal:
        journal.turns.add(make_turn())
        journal.differences.add(item)
    return item.id


def runs_with(home: Home, name: str, damage: Damage) -> tuple[Path, Path]:
    """Make a complete run, and a later one with a damaged file; return both folders."""
    whole, later = home.runs / "20261123T031500", home.runs / "20261124T031500"
    for folder in (whole, later):
        folder.mkdir(parents=True)
        text = json.dumps({**full().to_json(), "run": str(folder)})
        (folder / "report.json").write_text(text)
        (folder / "events.jsonl").write_text(
            '{"phase": "start", "model": "m"}\n{"phase": "report"}\n'
        )
    (later / name).unlink(missing_ok=True)
    damage(later / name)
    os.mkfifo(whole / "try-1")
    home.cache.mkdir(parents=True, exist_ok=True)
    os.mkfifo(home.cache / "anchors")
    return whole, later


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["report.json", "events.jsonl", "control", "training.log", "more.npz"]
)
def test_a_damaged_file_of_a_run_does_not_break_forget_report_or_chat(
    home: Home, kept: str, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    whole, later = runs_with(home, name, DAMAGES[damage])
    assert run(["report"]) == 0
    assert run(["report", "--list"]) == 0
    assert run(["report", whole.name]) == 0
    assert run(["train", "watch"]) == 0
    assert latest(home.runs) is not None
    assert every(home.runs)
    assert find_active_run(home) is None
    assert requested_end(later) is None
    read_state(later)
    assert len(list(follow(later))) < 10
    with Journal(home.journal) as journal:
        watch = RunFollower(home, journal)
        watch.begin()
        assert watch.ready.wait(30)
        watch.close()
    capsys.readouterr()
    assert run(["memory", "forget", kept, "--yes"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert (home.runs / whole.name / "report.json").exists()
    prune_runs(home)
    if name in ("control", "more.npz"):
        return  # of one word, and of numbers
    held = [
        path for path in home.runs.rglob("*") if path.is_file() and path.stat().st_size < 1 << 20
    ]
    assert WORDS.encode() not in b"".join(path.read_bytes() for path in held)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_report_is_named_in_the_list_and_when_an_older_one_is_shown(
    home: Home, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    whole, later = runs_with(home, "report.json", DAMAGES[damage])
    (home.runs / "20990101T000000").mkdir()  # interrupted: newer, but without a report
    assert run(["report", "--json"]) == 0
    shown = capsys.readouterr()
    assert Report.from_json(shown.out) == require_report(whole)
    assert shown.err.startswith(f"discern: cannot read {later / 'report.json'}: it ")
    assert shown.err.count("\n") == 1
    assert run(["report", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in rows] == ["cut off", "unreadable", "rejected"]
    assert rows[1]["sentence"] in shown.err


def test_a_running_training_is_listed_as_running(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    now_going = home.runs / "20990101T000000"
    now_going.mkdir(parents=True)
    (now_going / "events.jsonl").write_text(f'{{"phase": "start", "pid": {os.getpid()}}}\n')
    assert run(["report", "--list"]) == 0
    assert "running" in capsys.readouterr().out


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_requested_report_that_is_damaged_is_named_with_the_cause(
    home: Home, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    _whole, later = runs_with(home, "report.json", DAMAGES[damage])
    assert run(["report", later.name]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"discern: cannot read {later / 'report.json'}: it ")
    assert said.rstrip().endswith("; `discern report --list` shows the other runs")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["config.toml", "kinds.toml"])
def test_a_damaged_user_file_is_named_and_nothing_is_lost(
    home: Home, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    clear_kinds_cache()
    path = home.config / name
    DAMAGES[damage](path)
    assert run(["memory", "list"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("discern: ")
    assert str(path) in said
    assert len(said.splitlines()) == 1
    path.rename(path.with_name("aside"))
    clear_kinds_cache()
    assert run(["memory", "list"]) == 0
    assert WORDS in capsys.readouterr().out


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["current.json", "manifest.json"])
def test_a_damaged_adapter_does_not_stop_the_chat_and_doctor_names_it(
    home: Home,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: str,
) -> None:
    identity = put(home, tmp_path, "one")
    path = home.adapters / (name if name == "current.json" else f"{identity}/{name}")
    path.unlink()
    DAMAGES[damage](path)
    home.settings_file.write_text(
        f'[model]\npath = "{tiny}"\n[memory]\ndense = false\n[sampling]\nmax_tokens = 2\n'
    )
    with Chat.open(home, read_settings(home)) as chat:
        assert chat.adapter is None
        *_, last = chat.say("Hello")
        assert chat.adapter is None
        assert last
    assert glanced(home) == [] or name == "current.json"
    run(["doctor", "--json"])
    said = capsys.readouterr()
    assert str(path) in said.out
    assert "Traceback" not in said.out + said.err
    assert run(["adapters", "list"]) == (2 if name == "current.json" else 0)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_rebuilt(home: Home, tiny: Path, damage: str) -> None:
    known = base_sha256(tiny, home.cache)
    path = home.cache / "model-sha256.json"
    path.unlink()
    DAMAGES[damage](path)
    assert base_sha256(tiny, home.cache) == known
    assert damage == "a folder" or str(tiny) in path.read_text()
    cached = home.cache / "anchors" / "some.npz"
    cached.parent.mkdir(parents=True)
    DAMAGES[damage](cached)
    assert base_answers._read(cached) == base_answers._read_part(cached) == {}


@pytest.mark.parametrize("damage", DAMAGES)
def test_invalid_chat_lease_files_are_ignored(home: Home, damage: str) -> None:
    mine = GpuLease(home, 7)
    DAMAGES[damage](home.state / "serving" / "1-ab")
    assert leased_sizes(home) == [7]
    mine.release()


@pytest.mark.parametrize("damage", ["a pipe", "a folder"])
def test_an_invalid_lock_file_is_not_waited_for(home: Home, damage: str) -> None:
    for path, hold in (
        (home.adapters / ".lock", lambda: publish.select(home, None)),
        (home.state / "training.lock", lambda: training_lock(home).__enter__()),
        (home.state / "night.lock", lambda: try_lock(home.state / "night.lock").__enter__()),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        DAMAGES[damage](path)
        with pytest.raises(
            HomeError, match=f"cannot write {path}: (it is not a file|Is a directory)"
        ):
            hold()


@pytest.mark.parametrize("damage", ["a pipe", "a folder", "nested"])
@pytest.mark.parametrize("name", ["owner.lock", "chroma"])
def test_an_invalid_index_leaves_keyword_search(home: Home, name: str, damage: str) -> None:
    home.index.mkdir(parents=True)
    DAMAGES[damage](home.index / name)
    with Memory.open(home, read_settings(home)) as memory:
        memory.settle(timeout=30)
        assert [found.difference.asked for found in memory.search(WORDS)] == [WORDS]
