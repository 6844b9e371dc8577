"""Forgetting removes the text of a difference from the files of past runs and keeps their results."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.forget import scrub_run_files as scrubbing
from agent.forget.scrub_run_files import GONE, erase_from_runs, erase_talk_from_runs, unfinished
from memory.difference import Contrast, Difference
from memory.sentence import Sentence, Stored, to_plain
from memory.settings.paths import Home
from tests.support.values import make_difference


@pytest.fixture
def versions() -> list[Difference]:
    first = make_difference("What is a plugharness?")
    sounds = Contrast(None, None, "A plugharness is квазиморфный.")
    return [first, replace(first, contrast=sounds, note="Yes.", version=2)]


def a_run(home: Home, item: Difference) -> Path:
    folder = home.runs / "20261123T031500"
    (folder / "try-1").mkdir(parents=True)
    (folder / "try-1" / "samples.npz").write_bytes(b"tokens")
    (folder / "try-1" / "lessons.zip").write_bytes(b"the same tokens, for another machine")
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


def test_the_text_is_removed_and_the_result_stays(home: Home, versions: list[Difference]) -> None:
    folder = a_run(home, versions[-1])
    (home.cache / "anchors").mkdir(parents=True)
    assert erase_from_runs(home, versions) == 5
    held = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"tokens" not in held
    assert b"plugharness" not in held
    assert "квази".encode() not in held
    assert b"kvazi" not in held
    assert not (home.cache / "anchors").exists()
    report = json.loads((folder / "report.json").read_text("utf-8"))
    other, own = report["fates"]
    assert other == {"difference": "another", "asked": "Yes.", "expected": "Who?", "fate": "learnt"}
    assert own["asked"] == GONE
    assert own["fate"] == "learnt"
    assert own["rephrasings"] == 1.0
    assert report["changes"][0]["asked"] == f"Again: {GONE}"
    assert (folder / "events.jsonl").read_text("utf-8").startswith('{"at": 1.0, "phase": "train"')
    assert erase_from_runs(home, versions) == 0


def test_the_text_is_removed_from_the_values_of_sentences(
    home: Home, versions: list[Difference]
) -> None:
    folder = a_run(home, versions[-1])
    note = Sentence("{id} wants another answer to {asked}", id="other", asked=versions[-1].asked)
    (folder / "report.json").write_text(json.dumps(to_plain({"notes": [note]})))
    erase_from_runs(home, versions)
    held = (folder / "report.json").read_text()
    assert "plugharness" not in held
    record = json.loads(held)
    read = Stored(record).sentence(record["notes"][0])
    assert read.template == note.template
    assert GONE in str(read)


def test_a_running_training_is_left_alone(home: Home, versions: list[Difference]) -> None:
    folder = a_run(home, versions[-1])
    (folder / "report.json").unlink()
    with (home.state / "training.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert unfinished(home) == [folder]
        assert erase_from_runs(home, versions) == 0
    assert unfinished(home) == []
    assert erase_from_runs(home, versions) == 4


def test_a_long_thread_is_removed_however_its_text_is_escaped(home: Home) -> None:
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


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(NESTED + '"What is a plugharness?"', id="nested"),
        pytest.param('{"n": ' + "9" * 5000 + ', "said": "What is a plugharness?"}', id="number"),
        pytest.param('\ufeff{"said": "What is a plugharness?"}', id="mark"),
        pytest.param('{"said": "\\ud83d What is a plugharness?"}', id="half a character"),
        pytest.param('{"said": "A plugharness is \\u043a\\u0432\\u0430\\u0437\\u0438'
                     '\\u043c\\u043e\\u0440\\u0444\\u043d\\u044b\\u0439.", "cut', id="escaped"),
        pytest.param("\x00\xff What is a plugharness?", id="bytes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["report.json", "events.jsonl", "training.log"])
def test_a_damaged_report_does_not_prevent_forgetting_and_loses_its_text(
    home: Home, versions: list[Difference], held: str, name: str
) -> None:
    folder = a_run(home, versions[-1])
    (folder / name).write_text(held, "utf-8")
    assert erase_from_runs(home, versions) == 5
    left = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"plugharness" not in left
    assert b"u043a" not in left
    assert (folder / name).exists()
    assert erase_from_runs(home, versions) == 0


def test_a_file_that_cannot_be_searched_is_deleted(
    home: Home, versions: list[Difference], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = a_run(home, versions[-1])
    monkeypatch.setattr(scrubbing, "_LARGEST", 10_000)
    (folder / "huge.log").write_text("x" * 10_001)
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    assert erase_from_runs(home, versions) == 6
    assert not (folder / "huge.log").exists()
    assert (folder / "pipe.json").exists()
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert report["fates"][1]["asked"] == GONE


def test_text_is_removed_from_html_in_its_escaped_form(home: Home) -> None:
    said = make_difference('Is 1 < 2 & 3 > 2?\nI "think" so')
    folder = home.runs / "20261123T031500"
    folder.mkdir(parents=True)
    page = folder / "report.html"
    page.write_text("<p>Is 1 &lt; 2 &amp; 3 &gt; 2?\nI &quot;think&quot; so</p>", "utf-8")
    assert erase_from_runs(home, [said]) == 1
    assert page.read_text("utf-8") == f"<p>{GONE}</p>"
