"""A run can be followed, stopped and aborted from outside, and repeated as practice."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import read_pointer
from memory.errors import TrainingError
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.events import Event, Logged, Reported, Started, Step
from trainer.night.night import run_night
from trainer.night.request import Practice, RunRequest
from trainer.night.run import find_active_run, follow, request_end


def mark(home: Home, *differences: Any) -> None:
    with Journal(home.journal) as journal:
        for item in differences:
            journal.differences.add(item)


def test_without_a_run_no_request_can_be_sent(home: Home) -> None:
    assert find_active_run(home) is None
    with pytest.raises(TrainingError, match="no training is running"):
        request_end(home, "stop")


def test_a_run_whose_process_is_gone_is_not_active(home: Home) -> None:
    folder = home.runs / "20260310T031500"
    folder.mkdir(parents=True)
    lines = [{"phase": "start", "pid": 2**22 + 1}, {"phase": "train", "step": 1}]
    text = "\n".join(map(json.dumps, lines)) + '\n{"phase": "tra'
    (folder / "events.jsonl").write_text(text)
    assert find_active_run(home) is None
    assert [logged.event.phase for logged in follow(folder, poll=0.01)] == ["start", "train"]


@pytest.mark.slow
def test_a_late_follower_gets_all_events_up_to_the_report(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    heard: list[Logged] = []
    followers: list[threading.Thread] = []

    def on_event(event: Event) -> None:
        if event.phase == "train" and not followers:
            folder = find_active_run(home)
            assert folder is not None
            thread = threading.Thread(target=lambda: heard.extend(follow(folder, poll=0.01)))
            thread.start()
            followers.append(thread)

    report = run_night(RunRequest(home, quick_settings(home), tiny), on_event=on_event)
    followers[0].join(20)
    first, last = heard[0].event, heard[-1].event
    assert isinstance(first, Started)
    assert first.pid == os.getpid()
    assert isinstance(last, Reported)
    assert last.verdict == report.verdict
    again = list(follow(Path(report.run)))
    assert again == heard


def test_stop_keeps_the_best_state_and_evaluates_it(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    settings = quick_settings(home, training={"max_steps": 100_000, "learning_rates": [1e-3, 1e-4]})
    told: list[Path] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Step) and not told:
            told.append(request_end(home, "stop"))

    report = run_night(RunRequest(home, settings, tiny), on_event=on_event)
    assert report.verdict == "published"
    assert len(report.attempts) == 1
    assert report.attempts[0].reason == "stopped"
    assert read_pointer(home.adapters).current == report.adapter


@pytest.mark.slow
def test_a_stopped_run_suggests_no_setting(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    settings = quick_settings(
        home, training={"max_steps": 100_000, "learning_rates": [1e-5]}, gate={"lessons": 1.0}
    )
    told: list[Path] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Step) and not told:
            told.append(request_end(home, "stop"))

    report = run_night(RunRequest(home, settings, tiny), on_event=on_event)
    assert report.verdict == "rejected"
    assert report.attempts[0].reason == "stopped"
    assert report.fates[0].cause == Sentence("not learned before the training was stopped")
    assert report.advice == (
        Sentence("The training was stopped early: run `discern train --force` to train again."),
    )


def test_abort_publishes_nothing(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    settings = quick_settings(home, training={"max_steps": 100_000})

    def on_event(event: Event) -> None:
        if isinstance(event, Step) and event.step == 1:
            request_end(home, "abort")

    with pytest.raises(TrainingError, match="stopped"):
        run_night(RunRequest(home, settings, tiny), on_event=on_event)
    assert read_pointer(home.adapters).current is None
    assert find_active_run(home) is None


@pytest.mark.slow
def test_each_practice_episode_has_its_own_seed(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."), difference("Where?", "Here."))
    settings = quick_settings(home, training={"learning_rates": [1e-3, 1e-4]})
    report = run_night(RunRequest(home, settings, tiny, practice=Practice(3, 2, dry=True)))
    assert report.verdict == "practised"
    assert report.adapter is None
    assert read_pointer(home.adapters).current is None
    assert [(one.rate, one.seed, one.steps) for one in report.attempts] == [
        (1e-3, 1, 2), (1e-4, 2, 2), (1e-3, 3, 2),
    ]  # fmt: skip
    assert [one.chosen for one in report.attempts].count(True) == 1
    for one in report.attempts:
        assert one.margins
        assert set(one.margins) == {fate.difference for fate in report.fates}
        assert len(one.curve) == 2
    with Journal(home.journal) as journal:
        assert {item.state for item in journal.differences.all()} == {"waiting"}
    published = run_night(RunRequest(home, settings, tiny, practice=Practice(1, 2)))
    assert published.verdict == "published"
