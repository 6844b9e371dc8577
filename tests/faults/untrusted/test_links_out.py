"""Links out of the home: nothing that erases, prunes, sweeps or rebuilds follows one."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint

from agent.chat.checkpoints import checkpoints, erase_thread
from agent.forget.residual_copies import find_residual_copies
from agent.forget.scrub_run_files import GONE, erase_from_runs, erase_talk_from_runs
from agent.llama import model_leases
from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.journal.tables.exported_copies import sweep_home
from memory.memory import Memory
from memory.recall.chroma_store import open_folder
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.command_line import call
from tests.support.values import make_difference
from tests.trainer.adapters.test_publish import put
from trainer.adapters.publish import prune
from trainer.night.interrupted_trials import take_over
from trainer.night.run import prune_runs

WORDS = "What is a plugharness?"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside the home that contains everything that is erased or pruned in a home."""
    folder = tmp_path / "outside"
    for name in ("try-1", ".discern-0123456789abcdef", "chroma"):
        (folder / name).mkdir(parents=True)
        (folder / name / "samples.npz").write_text(WORDS)
    (folder / "report.json").write_text(json.dumps({"changes": [{"asked": WORDS}]}))
    (folder / "talk.txt").write_text(WORDS)
    (folder / "edit-aaaaaaaa.toml").write_text(WORDS)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def a_run(home: Home, name: str) -> Path:
    folder = home.runs / name
    (folder / "try-1").mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"changes": [{"asked": WORDS}]}))
    return folder


def link_the_state(home: Home, outside: Path) -> Path:
    (outside / "runs" / "20261120T031500").mkdir(parents=True)
    (outside / "runs" / "20261120T031500" / "report.json").write_text(json.dumps([WORDS]))
    shutil.rmtree(home.state)
    home.state.symlink_to(outside)
    return home.runs


def link_the_runs(home: Home, outside: Path) -> Path:
    home.runs.symlink_to(outside.parent / "outside")
    return home.runs


def link_a_run(home: Home, outside: Path) -> Path:
    home.runs.mkdir(parents=True, exist_ok=True)
    (home.runs / "20261120T031500").symlink_to(outside)
    return home.runs / "20261120T031500"


def link_a_try(home: Home, outside: Path) -> Path:
    path = a_run(home, "20261119T031500") / "try-2"
    path.symlink_to(outside)
    return path


def link_a_file(home: Home, outside: Path) -> Path:
    path = a_run(home, "20261119T031500") / "events.json"
    path.symlink_to(outside / "report.json")
    return path


def link_the_anchors(home: Home, outside: Path) -> Path:
    (home.cache / "anchors").symlink_to(outside)
    return home.cache / "anchors"


def link_the_cache(home: Home, outside: Path) -> Path:
    (outside / "anchors").mkdir()
    (outside / "anchors" / "anchors.npz").write_text(WORDS)
    shutil.rmtree(home.cache)
    home.cache.symlink_to(outside)
    return home.cache / "anchors"


LINKS = [
    link_the_state,
    link_the_runs,
    link_a_run,
    link_a_try,
    link_a_file,
    link_the_anchors,
    link_the_cache,
]


@pytest.mark.parametrize("link", LINKS)
def test_forgetting_leaves_link_targets_alone_and_names_the_link(
    home: Home, outside: Path, link: Callable[[Home, Path], Path]
) -> None:
    named = link(home, outside)
    before = contents(outside)
    item = make_difference(WORDS)
    with Journal(home.journal) as journal:
        journal.differences.add(item)
        erase_from_runs(home, [item])
        erase_talk_from_runs(home, [WORDS])
        sweep_home(home)
        assert named in find_residual_copies(home, journal, item).files
    assert contents(outside) == before
    assert named.exists()


def test_forgetting_deletes_no_rows_of_checkpoints_behind_a_link(home: Home, outside: Path) -> None:
    theirs = outside / "threads.sqlite"
    with checkpoints(theirs) as saver:
        config: RunnableConfig = {"configurable": {"thread_id": "evening", "checkpoint_ns": ""}}
        saver.put(config, empty_checkpoint(), {}, {})
    home.checkpoints.symlink_to(theirs)
    erase_thread(home.checkpoints, "evening")
    assert not home.checkpoints.is_symlink()
    with closing(sqlite3.connect(theirs)) as connection:
        assert connection.execute("select count(*) from checkpoints").fetchone() == (1,)


def test_forgetting_still_searches_the_runs_beside_a_link(home: Home, outside: Path) -> None:
    own = a_run(home, "20261119T031500")
    link_a_run(home, outside)
    erase_from_runs(home, [make_difference(WORDS)])
    assert json.loads((own / "report.json").read_text()) == {"changes": [{"asked": GONE}]}


@pytest.mark.parametrize("link", [link_the_state, link_the_runs, link_a_run, link_a_try])
def test_pruning_and_resuming_runs_leaves_link_targets_alone(
    home: Home, outside: Path, tmp_path: Path, link: Callable[[Home, Path], Path]
) -> None:
    link(home, outside)
    for number in range(40):
        a_run(home, f"20261122T0{number:05}")
    for name in ("20261122T000001", "20261122T000002"):
        (home.runs / name / "report.json").unlink()  # cut off
    (outside / "report.json").unlink()
    before = {name for name in contents(outside) if "20261122T" not in name}
    (tmp_path / "new run").mkdir()
    take_over(home, tmp_path / "new run")
    prune_runs(home)
    assert before <= set(contents(outside))
    if link in (link_a_run, link_a_try):
        assert len(list(home.runs.glob("20261122T*"))) == 30


def test_pruning_and_sweeping_adapters_leaves_link_targets_alone(
    home: Home, outside: Path, tmp_path: Path
) -> None:
    home.adapters.symlink_to(outside)
    for mark in ("one", "two", "three"):
        put(home, tmp_path, mark)
    (outside / ".discern-0123456789abcdef").mkdir(exist_ok=True)
    before = contents(outside)
    assert prune(home, 0) == ()
    sweep_home(home)
    assert contents(outside) == before
    assert (outside / ".discern-0123456789abcdef").is_dir()


def test_a_damaged_index_behind_a_link_is_not_deleted(home: Home, outside: Path) -> None:
    home.index.symlink_to(outside)
    (outside / "chroma" / "chroma.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(HomeError, match="outside the Discern home folder, behind a link"):
        open_folder(home, home.index / "chroma", "differences-x")
    assert (outside / "chroma" / "samples.npz").read_text() == WORDS


def test_rebuilding_an_index_behind_a_link_leaves_other_files_alone(
    home: Home, settings: Settings, outside: Path
) -> None:
    home.index.symlink_to(outside)
    before = contents(outside)
    with Memory.open(home, settings) as memory:
        memory.rebuild()
    now = contents(outside)
    assert {name: now[name] for name in before} == before


def test_finding_open_chats_deletes_nothing_behind_a_link(home: Home, outside: Path) -> None:
    (home.state / model_leases.FOLDER).symlink_to(outside)
    before = contents(outside)
    assert model_leases.leased_sizes(home) == []
    assert contents(outside) == before


def test_a_model_behind_a_link_is_not_removed(
    home: Home,
    outside: Path,
    tiny: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (home.data / "models").symlink_to(outside)
    (outside / "own.gguf").write_bytes(tiny.read_bytes())
    code, _out, err = call(capsys, "model", "remove", str(home.data / "models" / "own.gguf"))
    assert code == 2
    assert "is outside the home folder, reached through a link" in err
    assert (outside / "own.gguf").exists()


def test_files_in_the_home_are_distinguished_from_link_targets(home: Home, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home.data)
    linked = Home.at(tmp_path / "link")
    assert linked.holds(linked.journal)
    assert home.holds(linked.journal)
    assert not home.holds(tmp_path)
    assert not home.holds(home.data / ".." / "copy")
    (home.data / "loop").symlink_to(home.data / "loop")
    assert not home.holds(home.data / "loop")
    apart = Home(*(tmp_path / name for name in ("config", "data", "state", "cache")))
    assert apart.holds(apart.runs)
    assert not apart.holds(home.runs)
