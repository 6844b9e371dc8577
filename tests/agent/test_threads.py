"""Taking a turn out of the checkpoints: gone from the talk and from the bytes of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.chat import Chat
from agent.threads import erase_turns
from memory.errors import HomeError
from memory.home import Home, Settings, read_settings


@pytest.fixture
def quick(home: Home, tiny: Path) -> Settings:
    return read_settings(
        home,
        {"model": {"path": str(tiny)}, "sampling": {"max_tokens": 4}, "memory": {"dense": False}},
    )


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


def test_an_erased_turn_leaves_no_byte_and_the_talk_goes_on(home: Home, quick: Settings) -> None:
    with Chat.open(home, quick, thread="work") as chat:
        for text in ("First Quxalot", "My secret is Zyzzyva", "Third Plover"):
            list(chat.say(text))
        first, second, third = chat.turns()
        with Chat.open(home, quick, thread="other") as other:
            list(other.say("Elsewhere Gnomon"))
        # A chat that is open in this thread meanwhile is no obstacle.
        assert b"Zyzzyva" in bytes_of(home.checkpoints)
        assert erase_turns(home.checkpoints, "work", [second.id]) == 2
        left = bytes_of(home.checkpoints)
        assert b"Zyzzyva" not in left and second.id.encode() not in left
        assert all(word in left for word in (b"Quxalot", b"Plover", b"Gnomon"))
        list(chat.say("Fourth"))
        state = chat._graph.get_state({"configurable": {"thread_id": "work"}})
        ids = [message.id for message in state.values["messages"] if message.type == "ai"]
        assert ids == [first.id, third.id, chat.turns()[-1].id]


def test_the_checkpoints_are_for_their_owner_alone(home: Home, quick: Settings) -> None:
    home.data.chmod(0o755)  # a folder that was there before
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))
        held = [*home.data.glob("threads.sqlite*"), *home.data.glob("journal.sqlite*")]
        assert len(held) > 1 and [path for path in held if path.stat().st_mode & 0o077] == []


def test_erasing_again_or_where_nothing_is_does_no_harm(home: Home, quick: Settings) -> None:
    assert erase_turns(home.checkpoints, "main", ["nothing"]) == 0
    with Chat.open(home, quick, thread="main") as chat:
        list(chat.say("Hello"))
        turn = chat.turns()[-1]
    assert erase_turns(home.checkpoints, "main", [turn.id]) == 2
    assert erase_turns(home.checkpoints, "main", [turn.id]) == 0
    assert b"Hello" not in bytes_of(home.checkpoints)


def test_a_damaged_file_is_refused(home: Home) -> None:
    home.checkpoints.write_bytes(b"no database at all" * 100)
    with pytest.raises(HomeError, match=r"cannot use .*threads\.sqlite"):
        erase_turns(home.checkpoints, "main", ["x"])
