"""The checkpoints: no message text, no growth with turns, and no effect on the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.chat.chat import Chat
from agent.chat.checkpoints import checkpoints, damaged_copy, erase_thread, look
from agent.chat.marking.forget import forget
from agent.chat.sessions import delete
from memory.errors import ModelError
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


def rows(path: Path, table: str = "checkpoints") -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


def stands_at(chat: Chat, thread: str) -> str:
    state = chat._graph.get_state({"configurable": {"thread_id": thread}})
    return str(state.values.get("turn", ""))


def test_a_checkpoint_has_ids_and_no_message_text(home: Home, quick: Settings) -> None:
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("My secret is Zyzzyva"))
        events = chat.say("And Quxalot")
        next(events)
        events.close()  # cut off in the middle
        with pytest.raises(ModelError, match="the message takes"):
            list(chat.say("Or Plover " * 9000))
        left = bytes_of(home.checkpoints)
        assert stands_at(chat, "work").encode() in left
        assert not any(word in left for word in (b"Zyzzyva", b"Quxalot", b"Plover"))
        assert chat.thread.turns()[-1].replied.encode() not in left


def test_a_turn_replaces_the_checkpoint_before(home: Home, quick: Settings) -> None:
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("One"))
        size = len(bytes_of(home.checkpoints))
        for text in ("Two", "Three", "Four"):
            list(chat.say(text))
        assert stands_at(chat, "work") == chat.thread.turns()[-1].id
        assert rows(home.checkpoints) == 1
        assert rows(home.checkpoints, "writes") == 0
    assert len(bytes_of(home.checkpoints)) <= size


def test_an_erased_thread_leaves_no_bytes_and_is_made_again_by_its_next_message(
    home: Home, quick: Settings
) -> None:
    with Chat.open(home, quick, thread="work Zyzzyva") as chat:
        list(chat.say("Hello"))
        with Chat.open(home, quick, thread="other Gnomon") as other:
            list(other.say("Elsewhere"))
        erase_thread(home.checkpoints, "work Zyzzyva")
        left = bytes_of(home.checkpoints)
        assert b"Zyzzyva" not in left
        assert chat.thread.turns()[-1].id.encode() not in left
        assert b"Gnomon" in left
        assert stands_at(chat, "work Zyzzyva") == ""
        list(chat.say("Again"))
        assert stands_at(chat, "work Zyzzyva") == chat.thread.turns()[-1].id
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello", "Again"]


def test_the_checkpoints_are_readable_by_their_owner_only(home: Home, quick: Settings) -> None:
    home.data.chmod(0o755)  # a folder that was there before
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))
        held = [*home.data.glob("threads.sqlite*"), *home.data.glob("journal.sqlite*")]
        assert len(held) > 1
        assert [path for path in held if path.stat().st_mode & 0o077] == []


def test_message_text_from_earlier_versions_is_removed(home: Home, quick: Settings) -> None:
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))
    with closing(sqlite3.connect(home.checkpoints)) as old, old:
        old.execute("pragma user_version=0")
        old.execute("update checkpoints set checkpoint = ?", ("My secret is Zyzzyva" * 1000,))
    with Chat.open(home, quick, thread="work") as chat:
        assert chat.notices == ()
        assert b"Zyzzyva" not in bytes_of(home.checkpoints)
        list(chat.say("Again"))
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello", "Again"]


def torn(path: Path) -> None:
    path.write_bytes(b"Zyzzyva, no database at all" * 100)


def half(path: Path) -> None:
    held = bytearray(path.read_bytes())
    held[100:] = b"\xff" * (len(held) - 100)
    path.write_bytes(held)


def another(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("create table recipes (name text)")


def nonsense(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update checkpoints set checkpoint = ?", (b"\xc1\xc1\xc1",))


DAMAGES = (torn, half, another, nonsense)


@pytest.fixture
def spoken(home: Home, quick: Settings) -> None:
    """A thread with a turn."""
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))


@pytest.mark.usefixtures("spoken")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_moved_and_made_again_from_the_journal(
    home: Home, quick: Settings, damage: Callable[[Path], None]
) -> None:
    damage(home.checkpoints)
    before = home.checkpoints.read_bytes()
    if damage is not nonsense:
        assert "are damaged" in str(look(home.checkpoints))
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Again"))
        assert "rebuilt from the journal" in " ".join(map(str, chat.notices))
        assert str(damaged_copy(home.checkpoints)) in " ".join(map(str, chat.notices))
        assert damaged_copy(home.checkpoints).read_bytes() == before
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello", "Again"]
        assert stands_at(chat, "work") == chat.thread.turns()[-1].id
    assert look(home.checkpoints) is None
    assert rows(home.checkpoints) == 1


@pytest.mark.usefixtures("spoken")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_does_not_prevent_forgetting_and_keeps_no_text(
    home: Home, quick: Settings, damage: Callable[[Path], None]
) -> None:
    with Memory.open(home, quick, dense=False) as memory:
        marked = memory.mark(memory.journal.turns.all()[0], MarkRequest("error", sounds="Lutz."))
        damage(home.checkpoints)
        forget(home, memory, marked.id)
        assert memory.journal.turns.all() == []
    assert b"Zyzzyva" not in bytes_of(home.checkpoints)


@pytest.mark.usefixtures("spoken")
def test_the_moved_file_is_deleted_with_a_thread(home: Home, quick: Settings) -> None:
    torn(home.checkpoints)
    with Chat.open(home, quick, thread="work") as chat:
        assert damaged_copy(home.checkpoints).exists()
        delete(home, chat.memory, "work")
    assert not damaged_copy(home.checkpoints).exists()


def test_checkpoints_that_cannot_be_written_stay_in_memory_with_a_notice(
    home: Home, quick: Settings
) -> None:
    home.checkpoints.mkdir()  # nobody can open a database there
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))
        list(chat.say("Again"))
        assert "cannot write the checkpoints" in " ".join(map(str, chat.notices))
        assert stands_at(chat, "work") == chat.thread.turns()[-1].id
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello", "Again"]
        chat.marks.forget(chat.marks.add(MarkRequest("surprise")).difference.id)
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello"]
    assert "cannot write" in str(look(home.checkpoints))


def test_a_full_disk_does_not_stop_an_open_chat(home: Home, quick: Settings) -> None:
    with Chat.open(home, quick, thread="work") as chat:
        list(chat.say("Hello"))
        chat._checkpoints.conn.execute("pragma max_page_count=1")
        chat._checkpoints.conn.execute("create trigger full before insert on checkpoints begin "
                                       "insert into writes (thread_id, checkpoint_id, task_id, idx, "
                                       "channel, value) values ('', '', '', 0, '', "
                                       "zeroblob(1000000)); end")  # fmt: skip
        list(chat.say("Again"))
        assert "no space left to write the checkpoints" in " ".join(map(str, chat.notices))
        assert [turn.asked for turn in chat.thread.turns()] == ["Hello", "Again"]


def test_erasing_a_missing_thread_does_nothing(home: Home) -> None:
    erase_thread(home.checkpoints, "main")
    assert not home.checkpoints.exists()
    with checkpoints(home.checkpoints) as saver:
        assert saver.notice is None
    erase_thread(home.checkpoints, "main")
    assert look(home.checkpoints) is None
