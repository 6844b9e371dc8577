"""The history before a message: only what fits is read, however long the thread is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.chat.chat import Chat
from agent.chat.context_usage import measure_context
from agent.chat.graph import Finished
from agent.chat.history import TURNS_PER_READ, history_up_to
from agent.llama.engine import Engine
from agent.prompt.prompt import compose
from memory.difference import Message, Turn, new_id, now
from memory.journal.journal import Journal
from memory.journal.tables.branches import Branches
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings


class Counting(Branches):
    """Branches that count the turns that were read."""

    read = 0

    def up_to(self, last: str, *, limit: int = -1) -> list[Turn]:
        found = super().up_to(last, limit=limit)
        self.read += len(found)
        return found


def tell(journal: Journal, turns: int, thread: str = "long") -> str:
    with journal.transaction():
        for number in range(turns):
            said = Turn(new_id(), thread, now(), f"Question {number}?", f"Reply {number}.", "m")
            journal.turns.add(said)
    return journal.turns.head(thread)


def test_no_more_history_is_read_than_the_context_can_hold(home: Home, engine: Engine) -> None:
    read = []
    for turns in (200, 2000):
        with Journal(home.data / f"{turns}.sqlite") as journal:
            journal.branches = counted = Counting(journal.database, journal.turns)
            last = tell(journal, turns)
            talk = history_up_to(journal, last, engine)
            read.append(counted.read)
            assert talk.messages[-1] == Message("assistant", f"Reply {turns - 1}.")
            assert len(talk.messages) + talk.omitted == 2 * turns
    assert read[0] == read[1] <= engine.info.context // 10 + TURNS_PER_READ


def test_the_history_equals_that_of_reading_the_whole_thread(home: Home, engine: Engine) -> None:
    with Journal(home.journal) as journal:
        last = tell(journal, 150)
        whole = [
            message
            for turn in journal.branches.current("long")
            for message in (Message("user", turn.asked), Message("assistant", turn.replied))
        ]
        talk = history_up_to(journal, last, engine)
        asked = Message("user", "And now?")
        short = compose(engine, [*talk.messages, asked], room=20)
        long = compose(engine, [*whole, asked], room=20)
        assert short.tokens == long.tokens
        assert short.text == long.text
        assert short.dropped + talk.omitted == long.dropped


def test_each_message_is_tokenized_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    tokenize = engine.tokenize

    def counted(text: str, *, special: bool = False) -> list[int]:
        if not special and text.strip():  # a line feed only probes the vocabulary
            said.append(text)
        return tokenize(text, special=special)

    monkeypatch.setattr(engine, "tokenize", counted)
    talk = [
        message
        for number in range(300)
        for message in (Message("user", f"Question {number}?"), Message("assistant", "Yes."))
    ]
    assert compose(engine, [*talk, Message("user", "And?")]).dropped > 400
    assert len(said) == len(talk) + 1


def test_the_chat_and_the_context_usage_count_messages_that_were_not_read(
    home: Home, tiny: Path
) -> None:
    settings: Settings = read_settings(
        home,
        {"model": {"path": str(tiny)}, "sampling": {"max_tokens": 4}, "memory": {"dense": False}},
    )
    with Journal(home.prepare().journal) as journal:
        tell(journal, 500)
    with Chat.open(home, settings, thread="long") as chat:
        seen = measure_context(chat, "And now?")
        assert seen.messages + seen.dropped == 1000
        assert seen.dropped > 900
        done = list(chat.say("And now?"))[-1]
        assert isinstance(done, Finished)
        assert done.dropped == seen.dropped
        assert done.turn.prompt_tokens == seen.total
