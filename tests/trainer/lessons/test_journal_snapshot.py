"""A mark removed during a training is not published and leaves no text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import list_adapters, read_pointer
from agent.chat import sessions
from agent.chat.marking.forget import forget as forget_everywhere
from agent.forget.residual_copies import find_residual_copies
from memory.difference import Difference, Message, State, Turn, new_id, now
from memory.errors import CutOffError, SupersededError
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import difference, quick_settings
from trainer import loop
from trainer.adapters import publish, write_pointer
from trainer.events import Event, OnEvent
from trainer.lessons import journal_snapshot
from trainer.lessons.anchors import choose_unchanged_prompts
from trainer.night import night
from trainer.night.night import run_night
from trainer.night.once_per_date import run_if_due
from trainer.night.request import RunRequest

SECRET = ("What is a plugharness?", "A plugharness is a quorn.", "It is the vexillum of Grumm.")
TALK = ("Tell me about Grumm.", "Grumm is a shalloon of the coast.")


def turn(asked: str, replied: str, thread: str) -> Turn:
    return Turn(id=new_id(), thread=thread, at=now(), asked=asked, replied=replied, model="m")


def few(home: Home) -> Settings:
    return quick_settings(home, training={"anchors_per_lesson": 1})


@pytest.fixture(autouse=True)
def few_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use few anchors: they do not matter here, and asking them takes most of a night."""
    for name in ("FEWEST_ANCHORS", "MEASURED_ANCHORS", "FEWEST_MEASURED"):
        monkeypatch.setattr(choose_unchanged_prompts, name, 4)
    monkeypatch.setattr(choose_unchanged_prompts, "NEAR_TRAINED", (4, 4))


@pytest.fixture
def marked(home: Home) -> list[Difference]:
    """A mark to be removed, in its own thread, and one that stays."""
    with Journal(home.journal) as journal:
        first, second = turn(*TALK, "secret"), turn(SECRET[0], SECRET[1], "secret")
        journal.turns.add(first)
        journal.turns.add(second)
        before = (Message("user", TALK[0]), Message("assistant", TALK[1]))
        marks = [
            difference(SECRET[0], SECRET[2], replied=SECRET[1], before=before),
            difference("Who?", "Lutz."),
        ]
        marks[0] = _of(marks[0], second)
        for item in marks:
            journal.differences.add(item)
    return marks


def _of(item: Difference, said: Turn) -> Difference:
    return replace(item, turn=said.id, thread=said.thread)


def forget(home: Home, memory: Memory, marks: list[Difference]) -> None:
    forget_everywhere(home, memory, marks[0].id)


def undo(home: Home, memory: Memory, marks: list[Difference]) -> None:
    memory.undo(marks[0].id)


def supersede(home: Home, memory: Memory, marks: list[Difference]) -> None:
    memory.supersede(marks[0].id, marks[1].id)


def delete(home: Home, memory: Memory, marks: list[Difference]) -> None:
    sessions.delete(home, memory, "secret")


def left(home: Home, words: tuple[str, ...]) -> list[str]:
    """Return the files of runs and caches that contain one of the words, or tokens of training data."""
    return [
        path.name
        for folder in (home.runs, home.cache)
        for path in folder.rglob("*")
        if path.is_file()
        and (path.suffix == ".npz" or any(text.encode() in path.read_bytes() for text in words))
    ]


Verb = Callable[[Home, Memory, list[Difference]], None]


def take_away_at(phase: str, verb: Verb, home: Home, marks: list[Difference]) -> OnEvent:
    """Return a listener that removes the first mark once, when the run reaches `phase`."""
    done: list[str] = []

    def on_event(event: Event) -> None:
        if event.phase == phase and not done:
            done.append(phase)
            with Memory.open(home, few(home), dense=False) as memory:
                verb(home, memory, marks)
                left_over = find_residual_copies(home, memory.journal, marks[0])
                assert left_over.files == ()
                assert "is running" in left_over.sentences[-1]

    return on_event


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "verb",
    [
        forget,
        pytest.param(delete, marks=SLOW),
        pytest.param(undo, marks=SLOW),
        pytest.param(supersede, marks=SLOW),
    ],
)
def test_a_mark_removed_before_publication_is_not_published(
    home: Home, tiny: Path, marked: list[Difference], verb: Verb
) -> None:
    settings = few(home)
    on_event = take_away_at("publish", verb, home, marked)
    with pytest.raises(SupersededError, match=marked[0].id[:8]):
        run_night(RunRequest(home, settings, tiny), on_event=on_event)
    assert not list_adapters(home.adapters)
    assert read_pointer(home.adapters).current is None
    if verb is not supersede:  # which removes nothing from the journal
        gone = TALK if verb is delete else SECRET
        assert left(home, gone) == []
    report = run_night(RunRequest(home, settings, tiny))
    assert report.verdict == "published"
    expected = {fate.expected for fate in report.fates if fate.trained}
    assert expected == ({"Lutz.", SECRET[2]} if verb is delete else {"Lutz."})


@pytest.mark.parametrize("phase", ["anchors", pytest.param("gate", marks=SLOW)])
def test_a_run_ends_soon_after_its_training_data_was_forgotten(
    home: Home, tiny: Path, marked: list[Difference], monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.setattr(journal_snapshot, "LOOK_SECONDS", 0.0)
    seen: list[str] = []
    forgets = take_away_at(phase, forget, home, marked)

    def on_event(event: Event) -> None:
        seen.append(event.phase)
        forgets(event)

    with pytest.raises(SupersededError):
        run_night(RunRequest(home, few(home), tiny), on_event=on_event)
    assert seen[-2:] == [phase, "report"]
    assert left(home, SECRET) == []


def test_a_mark_edited_during_training_waits_for_the_next_night(
    home: Home, tiny: Path, marked: list[Difference]
) -> None:
    def on_event(event: Event) -> None:
        if event.phase == "publish":
            with Memory.open(home, few(home), dense=False) as memory:
                memory.edit(marked[1].id, sounds="Lutz, of course.")

    report = run_night(RunRequest(home, few(home), tiny), on_event=on_event)
    assert report.verdict == "published"
    with Journal(home.journal) as journal:
        states = {item.id: item.state for item in journal.differences.all()}
    assert states[marked[1].id] is State.WAITING
    assert states[marked[0].id] is not State.WAITING


@pytest.mark.slow
def test_a_mark_forgotten_after_publication_is_removed_from_the_report_too(
    home: Home, tiny: Path, marked: list[Difference], monkeypatch: pytest.MonkeyPatch
) -> None:
    def and_forget(journal: Journal, *read: Any) -> None:
        journal_snapshot.record_states(journal, *read)
        with Memory.open(home, few(home), dense=False) as memory:
            forget_everywhere(home, memory, marked[0].id)

    monkeypatch.setattr(night, "record_states", and_forget)
    report = run_night(RunRequest(home, few(home), tiny))
    assert report.verdict == "published"
    assert not any(text in str(report) for text in SECRET)
    assert left(home, SECRET) == []
    # As usual, such an adapter is trained again.
    monkeypatch.undo()
    again = run_night(RunRequest(home, few(home), tiny))
    assert again.adapter not in (None, report.adapter)


@pytest.mark.slow
def test_no_mark_can_be_removed_while_an_adapter_is_published(
    home: Home, tiny: Path, marked: list[Difference], monkeypatch: pytest.MonkeyPatch
) -> None:
    point = write_pointer.set_current
    told: list[str] = []

    def locked(*arguments: Any, **named: Any) -> None:
        other = sqlite3.connect(home.journal, timeout=0)
        try:
            other.execute("begin immediate")
        except sqlite3.OperationalError as error:
            told.append(str(error))
        finally:
            other.close()
        point(*arguments, **named)

    monkeypatch.setattr(publish, "set_current", locked)
    run_night(RunRequest(home, few(home), tiny))
    assert told == ["database is locked"]


@pytest.mark.slow
def test_a_night_whose_lesson_was_forgotten_is_run_without_it_by_the_next_check(
    home: Home, tiny: Path, marked: list[Difference]
) -> None:
    settings = few(home)
    on_event = take_away_at("publish", forget, home, marked)
    request, moment = RunRequest(home, settings, tiny), now().replace(year=now().year + 1)
    with pytest.raises(CutOffError):
        run_if_due(request, now=moment, on_event=on_event)
    report = run_if_due(request, now=moment)
    assert report is not None
    assert report.verdict == "published"
    assert {fate.difference for fate in report.fates} == {marked[1].id}


@pytest.mark.slow
def test_the_public_loop_does_not_publish_a_removed_mark_either(
    home: Home, tiny: Path, marked: list[Difference], tmp_path: Path
) -> None:
    settings = few(home)
    candidate = loop.train(loop.compose(home, settings, tiny), settings, tmp_path / "run")
    verdict = loop.gate(candidate, settings)
    with Memory.open(home, settings, dense=False) as memory:
        forget_everywhere(home, memory, marked[0].id)
    with pytest.raises(SupersededError):
        loop.publish(home, candidate, verdict)
    assert loop.current(home) is None
