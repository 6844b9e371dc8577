"""Discern in other agents: create_agent, a raw graph, the store, and the current adapter."""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import Field

from agent.adapters import BaseEntry, FileEntry, Manifest, sha256_file
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.plugin import (
    Companion,
    DifferenceMiddleware,
    DifferenceStore,
    on_change,
    recall_node,
    record_node,
)
from memory.difference import Turn, new_id, now
from memory.errors import MarkError
from memory.memory import Memory
from memory.recall.adapter_scope import FLOOR
from memory.recall.learned_differences import Learned, digest
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.support.adapters import published
from tests.support.values import difference
from trainer.adapters.publish import select

ASKED = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."
THREAD: Any = {"configurable": {"thread_id": "t1"}}
MARK = f"/diff error It is Lutz. missed: the country => {SOUNDS}"


class Remote(BaseChatModel):
    """A remote model: returns scripted replies and records its prompts."""

    says: list[Any] = Field(default_factory=lambda: ["I do not know."])
    seen: list[list[BaseMessage]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "remote"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.seen.append(list(messages))
        said = self.says[min(len(self.seen), len(self.says)) - 1]
        message = AIMessage(said) if isinstance(said, str) else said.model_copy()
        message.response_metadata = {
            "model_name": "remote-1",
            "logprobs": {"content": [{"logprob": -0.5}]},
        }
        return message

    def _generate(self, messages: Any, *_args: Any, **_kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(self, messages: Any, *_args: Any, **_kwargs: Any) -> Iterator[ChatGenerationChunk]:
        message = self._next(messages)
        words = str(message.text).split(" ")
        for place, word in enumerate(words):
            text = word if place == len(words) - 1 else f"{word} "
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))


@pytest.fixture
def companion(home: Home) -> Iterator[Companion]:
    with Companion.open(home, dense=False) as opened:
        yield opened


def ask(agent: Any, text: str, config: Any = THREAD) -> str:
    result = agent.invoke({"messages": [HumanMessage(text)]}, config)
    return str(result["messages"][-1].text)


def everything(path: Path) -> bytes:
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump()).encode()


def test_an_agent_records_turns_accepts_marks_and_recalls(
    companion: Companion, tmp_path: Path
) -> None:
    model = Remote()
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        agent = create_agent(
            model, middleware=[DifferenceMiddleware(companion)], checkpointer=saver
        )
        assert ask(agent, ASKED) == "I do not know."
        [turn] = companion.memory.journal.turns.in_thread("t1")
        assert (turn.asked, turn.replied, turn.model) == (ASKED, "I do not know.", "remote-1")
        assert turn.surprisal == (0.5,)
        assert ask(agent, MARK).startswith("Saved as error, ")
        assert len(model.seen) == 1  # a mark is not for the model
        [kept] = companion.memory.journal.differences.all()
        assert (kept.contrast.sounds, kept.contrast.missed) == (SOUNDS, "the country")
        ask(agent, "Tell me, what is the capital of Zubrowka?")
        shown = model.seen[-1]
        assert SOUNDS in str(shown[-1].text)
        assert [message.type for message in shown] == ["human", "ai", "human"]
        assert "/diff" not in str(shown)
        assert "Saved as" not in str(shown)
        state = agent.get_state(THREAD).values
        assert state["recalled_differences"] == [kept.id]
        assert "past-differences" not in str(state["messages"])
    assert b"past-differences" not in everything(tmp_path / "c.sqlite")
    assert companion.memory.journal.turns.in_thread("t1")[-1].recalled == (kept.id,)
    assert companion.memory.journal.differences.get(kept.id).recalled == 1
    assert len(companion.memory.journal.turns.in_thread("t1")) == 2


def test_a_mark_that_cannot_be_saved_is_answered_with_the_reason(companion: Companion) -> None:
    agent = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    assert "no reply to mark yet" in ask(agent, "/diff error => x", None)
    ask(agent, ASKED, None)
    assert "there is no text after =>" in ask(agent, "/diff error =>", None)
    assert ask(agent, "/difference is a word", None) == "I do not know."


def test_a_mark_belongs_to_the_reply_that_the_agent_showed(
    companion: Companion, tmp_path: Path
) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "c.sqlite")) as saver:
        agent = create_agent(
            Remote(), middleware=[DifferenceMiddleware(companion)], checkpointer=saver
        )
        ask(agent, ASKED)
        # Another process continues the thread of the same name.
        journal = companion.memory.journal
        journal.turns.add(Turn(new_id(), "t1", now(), "What is 2 + 3?", "Six.", "m", None))
        assert f"for “{ASKED}”" in ask(agent, MARK)
        [kept] = journal.differences.all()
        assert kept.asked == ASKED
        # Nor does the receipt of one mark hide the reply from the next.
        assert f"for “{ASKED}”" in ask(agent, "/diff surprise too smooth")


def test_a_misspelt_mark_in_an_agent_gets_a_suggestion(companion: Companion) -> None:
    agent = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    ask(agent, ASKED, None)
    assert "did you mean error?" in ask(agent, "/diff eror => Lutz.", None)
    assert companion.memory.journal.differences.all() == []


async def test_an_agent_streams_and_records_without_blocking(companion: Companion) -> None:
    agent: Any = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    await agent.ainvoke({"messages": [HumanMessage(ASKED)]}, THREAD)
    await agent.ainvoke({"messages": [HumanMessage(MARK)]}, THREAD)
    pieces = [
        str(chunk.text)
        async for chunk, _facts in agent.astream(
            {"messages": [HumanMessage(ASKED)]}, THREAD, stream_mode="messages"
        )
        if isinstance(chunk, AIMessageChunk)
    ]
    assert "".join(pieces) == "I do not know."
    assert len([x for x in pieces if x]) == 4
    turns = companion.memory.journal.turns.in_thread("t1")
    assert [bool(turn.recalled) for turn in turns] == [False, True]


def test_a_loop_with_tools_sees_the_same_block_in_each_step(companion: Companion) -> None:
    @tool
    def look_up(place: str) -> str:
        """Look up a place."""
        return "Nothing is known."

    call: Any = {"name": "look_up", "args": {"place": "Zubrowka"}, "id": "1", "type": "tool_call"}
    plain = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    ask(plain, ASKED)
    ask(plain, MARK)
    model = Remote(says=[AIMessage("", tool_calls=[call]), "It is Lutz."])
    agent = create_agent(model, [look_up], middleware=[DifferenceMiddleware(companion)])
    assert ask(agent, ASKED) == "It is Lutz."
    first, second = (str(shown[0].text) for shown in model.seen)
    assert first == second
    assert SOUNDS in first
    turn = companion.memory.journal.turns.in_thread("t1")[-1]
    assert (turn.asked, turn.replied) == (ASKED, "It is Lutz.")


def test_the_model_can_mark_and_look_up_with_tools(companion: Companion) -> None:
    def calls(name: str, **args: str) -> AIMessage:
        call: Any = {"name": name, "args": args, "id": name, "type": "tool_call"}
        return AIMessage("", tool_calls=[call])

    model = Remote(
        says=[
            "I do not know.",
            calls("mark_difference", moment="error", sounds=SOUNDS),
            "Noted.",
            calls("recall_differences", query=ASKED),
            SOUNDS,
        ]
    )
    middleware = DifferenceMiddleware(companion, with_tools=True)
    agent = create_agent(model, middleware=[middleware])
    ask(agent, ASKED)
    ask(agent, "No, it is Lutz.")
    [kept] = companion.memory.journal.differences.all()
    assert (kept.asked, kept.contrast.sounds) == (ASKED, SOUNDS)
    assert ask(agent, "Say it once more.") == SOUNDS
    told = [str(message.text) for message in model.seen[-1]]
    assert any("past-differences" in text and SOUNDS in text for text in told)
    assert told[-1] == "1 past differences were added to the context."


def raw_graph(companion: Companion, model: BaseChatModel) -> Any:
    """A graph of the companion's nodes around `model`."""

    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]
        recalled: list[str]

    def reply(state: State) -> dict[str, Any]:
        shown = companion.placed(state["messages"], state["recalled"])
        return {"messages": [model.invoke(shown)]}

    graph = StateGraph(State)
    graph.add_node("recall", recall_node(companion, then="reply"))
    graph.add_node("reply", reply)
    graph.add_node("record", record_node(companion))
    graph.add_edge(START, "recall")
    graph.add_edge("reply", "record")
    graph.add_edge("record", END)
    return graph.compile()


def test_the_nodes_work_in_a_raw_graph(companion: Companion) -> None:
    model = Remote()
    agent = raw_graph(companion, model)
    assert ask(agent, ASKED) == "I do not know."
    assert ask(agent, MARK).startswith("Saved as error")
    ask(agent, ASKED)
    assert SOUNDS in str(model.seen[-1][-1].text)
    assert len(companion.memory.journal.turns.in_thread("t1")) == 2
    assert agent.invoke({"messages": [], "recalled": []}, THREAD)["recalled"] == []


def test_a_forgotten_difference_is_no_longer_recalled_by_an_agent(companion: Companion) -> None:
    agent = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    ask(agent, ASKED)
    ask(agent, MARK)
    [kept] = companion.memory.journal.differences.all()
    companion.memory.forget(kept.id)
    assert companion.block([kept.id]) == ""
    talk: list[AnyMessage] = [HumanMessage(ASKED)]
    assert companion.placed(talk, [kept.id]) == talk


def test_message_parts_are_preserved(companion: Companion) -> None:
    agent = create_agent(Remote(), middleware=[DifferenceMiddleware(companion)])
    ask(agent, ASKED)
    ask(agent, MARK)
    picture = {"type": "image", "url": "https://example.org/x.png"}
    asked = HumanMessage([{"type": "text", "text": ASKED}, picture])
    [placed] = companion.placed([asked], companion.recall(ASKED))
    assert isinstance(placed.content, list)
    assert placed.content[-1] == picture
    assert len(asked.content) == 2


def test_the_store_saves_edits_searches_and_deletes(companion: Companion) -> None:
    store = DifferenceStore(companion)
    space = ("differences",)
    value = {"asked": ASKED, "replied": "No.", "sounds": SOUNDS, "note": "a place"}
    store.put(space, "11111111-aaaa", value)
    store.put(space, "22222222", {"asked": "Who wrote the Blue Book?", "replied": "Nobody."})
    item = store.get(space, "11111111-aaaa")
    assert item is not None
    assert item.value["sounds"] == SOUNDS
    assert item.value["moment"] == "error"
    assert json.dumps(item.dict())
    found = store.search((), query="capital of Zubrowka")
    assert found[0].key == "11111111-aaaa"
    assert found[0].score
    assert [x.key for x in store.search(space)] == ["22222222", "11111111-aaaa"]
    assert [x.key for x in store.search(space, filter={"moment": "surprise"})] == ["22222222"]
    assert [x.key for x in store.search(space, filter={"version": {"$gte": 1}}, offset=1)] == [
        "11111111-aaaa"
    ]
    assert store.search(("elsewhere",)) == []
    assert store.get(("elsewhere",), "22222222") is None
    assert store.list_namespaces() == [space]
    assert store.list_namespaces(prefix=("other",)) == []
    edited = {"sounds": "It is Lutz.", "note": None, "moment": "error"}
    store.put(space, "11111111-aaaa", edited)
    item = store.get(space, "11111111-aaaa")
    assert item is not None
    assert item.value["sounds"] == "It is Lutz."
    assert item.value["version"] == 2
    assert item.value["note"] is None
    assert item.updated_at > item.created_at
    with pytest.raises(MarkError, match="asked cannot be changed"):
        store.put(space, "11111111-aaaa", {"asked": "Else?"})
    store.delete(space, "22222222")
    store.delete(space, "no such key")
    assert store.get(space, "22222222") is None
    assert len(companion.memory.journal.differences.all()) == 1


async def test_the_store_refuses_invalid_values(companion: Companion) -> None:
    store = DifferenceStore(companion)
    for space, key, value, why in (
        (("notes",), "12345678", {"asked": "a", "replied": "b"}, "cannot write to"),
        (("differences",), "12345678", {"text": "a"}, "has no field 'text'"),
        (("differences",), "12345678", {"asked": "a"}, "replied"),
        (("differences",), "a key", {"asked": "a", "replied": "b"}, "is not a valid difference id"),
    ):
        with pytest.raises(MarkError, match=why):
            await store.aput(space, key, value)
    assert await store.asearch(()) == []


def test_a_change_of_the_current_adapter_is_noticed(home: Home) -> None:
    heard: list[Any] = []
    again = threading.Event()
    folder = home.adapters / ("ab" * 6)
    folder.mkdir(parents=True)
    (folder / "adapter.gguf").write_bytes(b"GGUF")
    entry = FileEntry(sha256=sha256_file(folder / "adapter.gguf"), size=4)
    manifest = Manifest(
        format=1, id="ab" * 6, created=now(), base=BaseEntry(sha256="0" * 64, name="x"),
        files={"adapter.gguf": entry},
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.model_dump_json())

    def callback(adapter: Any) -> None:
        heard.append(adapter)
        again.set()

    with on_change(home, callback, seconds=0.01):
        for wanted in ("ab" * 6, None):
            again.clear()
            select(home, wanted)
            assert again.wait(10)
    assert [adapter and adapter.id for adapter in heard] == ["ab" * 6, None]


def test_an_adapter_for_related_messages_answers_only_those_of_an_agent(
    companion: Companion, home: Home, engine: Engine, tiny: Path, tmp_path: Path
) -> None:
    marked = difference(ASKED, SOUNDS)
    companion.memory.journal.differences.add(marked)
    adapter = published(home, tiny, tmp_path, marked.id, learned=Learned(floor=FLOOR))
    model = DiscernChatModel(engine=engine, sampling=Sampling(max_tokens=2))
    agent = create_agent(model, middleware=[DifferenceMiddleware(companion)])
    for text, used in ((ASKED, adapter), ("Hello!", None), (ASKED, adapter)):
        ask(agent, text)
        assert companion.memory.journal.turns.in_thread("t1")[-1].adapter == used
        assert (engine.adapter is not None) == (used is not None)
    engine.set_adapter(None)


@pytest.mark.parametrize("how", ["middleware", "node"])
def test_a_learned_question_is_recalled_in_an_agent_only_after_other_exchanges(
    companion: Companion, home: Home, engine: Engine, tiny: Path, tmp_path: Path, how: str
) -> None:
    marked = difference(ASKED, SOUNDS)
    companion.memory.journal.differences.add(marked)
    fingerprints = {marked.id: marked.fingerprint}
    learned = Learned(fingerprints, questions=frozenset({digest(ASKED)}))
    published(home, tiny, tmp_path, marked.id, learned=learned)
    model = DiscernChatModel(engine=engine, sampling=Sampling(max_tokens=2))
    agent: Any = raw_graph(companion, model)
    if how == "middleware":
        agent = create_agent(model, middleware=[DifferenceMiddleware(companion)])
    companion.use_current(model)
    for text, recalled in (([ASKED], 0), (["Hello!", "Well.", ASKED], 1)):
        messages = [
            HumanMessage(one) if number % 2 == 0 else AIMessage(one)
            for number, one in enumerate(text)
        ]
        agent.invoke({"messages": messages}, THREAD)
        assert len(companion.memory.journal.turns.in_thread("t1")[-1].recalled) == recalled
    engine.set_adapter(None)


def test_a_companion_that_is_never_closed_releases_its_index(home: Home) -> None:
    companion = Companion.open(home)
    companion.memory.settle(60)
    with Memory.open(home, companion.settings) as beside:
        assert beside.notice is not None  # the index is held
    del companion
    gc.collect()
    with Memory.open(home, read_settings(home)) as after:
        assert after.settle(60)
        assert after.notice is None
