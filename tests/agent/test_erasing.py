"""What trainings leave behind of a forgotten difference: how it fared, and no word of it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.erasing import GONE, erase_from_runs, erase_talk_from_runs, unfinished
from memory.difference import Contrast, Difference
from memory.home import Home
from tests.memory.test_journal import make_difference


@pytest.fixture
def versions() -> list[Difference]:
    first = make_difference("What is a plugharness?")
    sounds = Contrast(None, None, "A plugharness is квазиморфный.")
    return [first, replace(first, contrast=sounds, note="Yes.", version=2)]


def a_run(home: Home, item: Difference) -> Path:
    folder = home.runs / "20261123T031500"
    (folder / "try-1").mkdir(parents=True)
    (folder / "try-1" / "samples.npz").write_bytes(b"tokens")
    other = {"difference": "another", "asked": "Yes.", "expected": "Who?", "fate": "learnt"}
    own = {"difference": item.id, "asked": item.asked, "expected": item.contrast.sounds,
           "kind": "contrast", "fate": "learnt", "rephrasings": 1.0,
           "reworded": [["Tell me: a plugharness?", "So."]]}  # fmt: skip
    report = {"verdict": "published", "fates": [other, own],
              "changes": [{"asked": f"Again: {item.asked}", "after": "?"}]}  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1), "utf-8")
    (folder / "events.jsonl").write_text(
        json.dumps({"at": 1.0, "phase": "train", "margins": {item.id: 2.0}})
        + "\n" + json.dumps({"at": 2.0, "said": item.contrast.sounds}) + "\n" + '{"at": 3.0, "ph',
        "utf-8",
    )  # fmt: skip
    (folder / "training.log").write_text(f"too long: {item.asked}\n", "utf-8")
    return folder


def test_the_words_go_and_how_it_fared_stays(home: Home, versions: list[Difference]) -> None:
    folder = a_run(home, versions[-1])
    (home.cache / "anchors").mkdir(parents=True)
    assert erase_from_runs(home, versions) == 4
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"plugharness" not in held and "квази".encode() not in held and b"kvazi" not in held
    assert not (home.cache / "anchors").exists()
    report = json.loads((folder / "report.json").read_text("utf-8"))
    other, own = report["fates"]
    assert other == {"difference": "another", "asked": "Yes.", "expected": "Who?", "fate": "learnt"}
    assert own["asked"] == GONE and own["fate"] == "learnt" and own["rephrasings"] == 1.0
    assert report["changes"][0]["asked"] == f"Again: {GONE}"
    assert (folder / "events.jsonl").read_text("utf-8").startswith('{"at": 1.0, "phase": "train"')
    assert erase_from_runs(home, versions) == 0


def test_a_run_that_goes_on_is_left_alone_and_named(home: Home, versions: list[Difference]) -> None:
    folder = a_run(home, versions[-1])
    (folder / "report.json").unlink()
    with (home.state / "training.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert unfinished(home) == [folder]
        assert erase_from_runs(home, versions) == 0
    assert unfinished(home) == []
    assert erase_from_runs(home, versions) == 3


def test_a_long_talk_goes_however_its_words_are_escaped(home: Home) -> None:
    folder = home.runs / "20261123T031500"
    folder.mkdir(parents=True)
    said = [f"{word} number {number}?" for number in range(80) for word in ("Plover", '"Где" é')]
    report = {"changes": [{"asked": text} for text in said], "verdict": "published"}
    (folder / "report.json").write_text(json.dumps(report, ensure_ascii=False), "utf-8")
    (folder / "events.jsonl").write_text(json.dumps({"said": said[-1]}) + "\n", "utf-8")
    (folder / "training.log").write_text(f"too long: {said[0]}\n", "utf-8")
    assert erase_talk_from_runs(home, [*said, "short", "never said there"]) == 3
    assert json.loads((folder / "report.json").read_text("utf-8")) == {
        "changes": [{"asked": GONE}] * len(said), "verdict": "published",
    }  # fmt: skip
    assert json.loads((folder / "events.jsonl").read_text("utf-8")) == {"said": GONE}
    assert (folder / "training.log").read_text("utf-8") == f"too long: {GONE}\n"
