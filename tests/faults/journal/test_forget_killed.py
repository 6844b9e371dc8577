"""SIGKILL while a difference is forgotten: forgetting it again completes it and leaves no text."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from agent.chat.marking.forget import forget
from memory.errors import UnknownIdError
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.memory.files.test_atomic_write import killed
from tests.support.leftovers import left_in
from tests.support.values import make_difference, make_turn

WORD = "plugharness"


def furnish(home: Home, place: Path) -> str:
    """Store a difference, with its words also in a run, in leftovers and next to a copy."""
    settings = read_settings(home)
    turn = make_turn()
    item = replace(make_difference(f"What is a {WORD}?"), turn=turn.id)
    with Memory.open(home, settings, dense=False) as memory:
        memory.journal.turns.add(replace(turn, asked=item.asked))
        memory.journal.differences.add(item)
        memory.journal.exported_copies.note(place / "copy")
    run = home.runs / "20261123T031500"
    run.mkdir(parents=True)
    (run / "report.json").write_text(json.dumps({"changes": [{"asked": item.asked}]}))
    (run / "samples.npz").write_text(WORD)
    for folder in (run, home.data, place):
        left = folder / ".discern-0123456789abcdef"
        left.mkdir(parents=True)
        (left / "copy").write_text(WORD)
    (home.data / ".journal.sqlite.0a1b2c3d").write_text(WORD)
    return item.id


def do(home: Home, identity: str) -> None:
    with Memory.open(home, read_settings(home), dense=False) as memory:
        forget(home, memory, identity)


def test_forgetting_that_was_killed_is_completed_by_forgetting_again(tmp_path: Path) -> None:
    number = 0
    while True:
        number += 3
        home = Home.at(tmp_path / f"home-{number}").prepare()
        place = tmp_path / f"copies-{number}"
        place.mkdir()
        identity = furnish(home, place)
        died = killed(lambda at=home, which=identity: do(at, which), number)  # type: ignore[misc]
        with suppress(UnknownIdError):  # it was already forgotten
            do(home, identity)
        assert not left_in(home.data, (WORD,))
        assert not left_in(home.runs, (WORD,))
        assert list(place.iterdir()) == []
        if not died:
            break
    assert number > 20
