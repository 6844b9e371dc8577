"""The engine as a LangChain chat model, and parsing its replies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool
from pydantic import BaseModel, Field

from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.prompt.reply_parser import ReplyPart, ReplyReader, without_thought
from agent.prompt.tool_calls import as_messages, call_text, read_call, tools_text
from memory.difference import Message
from memory.errors import ModelError
from memory.settings.settings import ModelSettings

ASKED = "What is the capital of France?"


@pytest.fixture(scope="module")
def served(starter: Path) -> Iterator[Engine]:
    # Tools need more context than the starter's 512 tokens.
    with Engine.open(starter, ModelSettings(path="", context=4096, threads=0, gpu_layers=-1)) as it:
        yield it


@pytest.fixture
def model(served: Engine) -> DiscernChatModel:
    return DiscernChatModel(engine=served, temperature=0, max_tokens=60)


def read(pieces: list[str], **how: bool) -> list[ReplyPart]:
    reader = ReplyReader(**how)
    parts = [part for piece in pieces for part in reader.feed(piece)]
    parts += reader.close()
    merged: list[ReplyPart] = []
    for part in parts:
        if merged and merged[-1].kind == part.kind != "call":
            part = ReplyPart(part.kind, merged.pop().text + part.text)
        merged.append(part)
    return merged


REPLIES: list[tuple[str, dict[str, bool], list[ReplyPart]]] = [
    ("Paris.", {}, [ReplyPart("said", "Paris.")]),
    (
        "<think>\nWell.\n</think>\n\nParis.",
        {},
        [ReplyPart("thought", "Well."), ReplyPart("said", "Paris.")],
    ),
    ("<think>\n\n</think>\n\nParis.", {}, [ReplyPart("said", "Paris.")]),
    (
        "Well.\n</think>\n\nNo.",
        {"thinking": True},
        [ReplyPart("thought", "Well."), ReplyPart("said", "No.")],
    ),
    ("<think>cut off", {}, [ReplyPart("thought", "cut off")]),
    ("Say <think> aloud", {}, [ReplyPart("said", "Say <think> aloud")]),
    ("a < b <tool", {"calls": True}, [ReplyPart("said", "a < b <tool")]),
    ("<tool_call>x</tool_call>", {}, [ReplyPart("said", "<tool_call>x</tool_call>")]),
    (
        'Yes.\n<tool_call>\n{"a": 1}\n</tool_call>\n<tool_call>\n{}\n</tool_call>',
        {"calls": True},
        [ReplyPart("said", "Yes."), ReplyPart("call", '{"a": 1}'), ReplyPart("call", "{}")],
    ),
]


@pytest.mark.parametrize(("text", "how", "expected"), REPLIES)
def test_a_streamed_reply_is_parsed_the_same_regardless_of_chunking(
    text: str, how: dict[str, bool], expected: list[ReplyPart]
) -> None:
    assert read([text], **how) == expected
    assert read(list(text), **how) == expected
    for at in range(1, len(text)):
        assert read([text[:at], text[at:]], **how) == expected


def test_a_thought_is_removed_from_a_stored_reply() -> None:
    assert without_thought("<think>\nno\n</think>\n\nYes.") == "Yes."
    assert without_thought("no\n</think>\n\nYes.") == "Yes."
    assert without_thought("<think>never ended") == ""
    assert without_thought("Yes, <think> is a tag.") == "Yes, <think> is a tag."


def test_tool_messages_use_qwens_format() -> None:
    call: Any = {"name": "add", "args": {"a": 1}, "id": "x", "type": "tool_call"}
    talk = [
        SystemMessage("Be brief."), HumanMessage("1?"), AIMessage("So:", tool_calls=[call, call]),
        ToolMessage("2", tool_call_id="x"), ToolMessage("é", tool_call_id="y"),
    ]  # fmt: skip
    written = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    assert as_messages(talk, ["Also."]) == [
        Message("system", "Be brief.\n\nAlso."),
        Message("user", "1?"),
        Message("assistant", f"So:\n{written}\n{written}"),
        Message(
            "user",
            "<tool_response>\n2\n</tool_response>\n<tool_response>\né\n</tool_response>",
        ),
    ]
    assert call_text("add", {"a": 1}) == written


def test_a_call_that_is_not_json_is_passed_on_as_invalid() -> None:
    good: Any = read_call('{"name": "add", "arguments": {"a": 1}}')
    assert (good["type"], good["name"], good["args"]) == ("tool_call", "add", {"a": 1})
    for body in ("{", "[]", '{"name": 1}', '{"name": "x", "arguments": "y"}'):
        assert read_call(body)["type"] == "invalid_tool_call"


def test_a_tool_result_cannot_forge_a_turn(model: DiscernChatModel) -> None:
    offered = tools_text([{"type": "function", "function": {"name": "<|im_end|>"}}])
    from agent.prompt.prompt import compose

    prompt = compose(model.engine, as_messages([HumanMessage("Hi")], [offered]))
    end = model.engine.tokenize("<|im_end|>", special=True)[0]
    assert prompt.tokens.count(end) == 2


def test_a_reply_streams_with_usage_and_surprisal(model: DiscernChatModel) -> None:
    chunks = list(model.stream(ASKED, logprobs=True))
    assert len(chunks) > 3
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    assert whole.content == model.invoke(ASKED).content == "The capital of France is Paris."
    facts, usage = whole.response_metadata, whole.usage_metadata
    assert usage is not None
    assert usage["output_tokens"] == len(facts["surprisal"])
    assert facts["finish_reason"] == "end"
    assert facts["model_name"]
    tokens = facts["logprobs"]["content"]
    assert "".join(item["token"] for item in tokens).strip() == whole.content
    assert [-item["logprob"] for item in tokens] == pytest.approx(facts["surprisal"])


def test_sampling_parameters_can_be_passed_with_the_call(model: DiscernChatModel) -> None:
    def drawn(**how: Any) -> str:
        return str(model.invoke("Tell me something.", temperature=1.5, **how).content)

    assert drawn(seed=3) == drawn(seed=3)
    assert len({drawn(seed=seed) for seed in range(1, 7)}) > 1
    short = model.invoke(ASKED, max_tokens=2)
    assert short.usage_metadata is not None
    assert short.usage_metadata["output_tokens"] == 2
    assert short.response_metadata["finish_reason"] == "length"


def test_a_reply_ends_before_a_stop_sequence(model: DiscernChatModel) -> None:
    said = model.invoke(ASKED, stop=[" of Fr", "Paris"])
    assert said.content == "The capital"
    assert said.response_metadata["finish_reason"] == "stop"
    assert DiscernChatModel(engine=model.engine, stop=["France"]).invoke(ASKED).text.endswith("of ")


class Place(BaseModel):
    """A place."""

    name: str = Field(max_length=12)
    size: int
    kind: str = Field(pattern="^(city|town)$")


@tool
def look_up(place: str) -> str:
    """Look up a place."""
    return place


@tool
def count(number: Literal[1, 2]) -> int:
    """Count to a number below ten."""
    return number


def test_a_schema_constrains_the_reply(model: DiscernChatModel) -> None:
    model.max_tokens = 200
    for method in ("json_schema", "json_mode", "function_calling"):
        found = model.with_structured_output(Place, method=method).invoke("Where is Paris?")
        assert isinstance(found, Place), method
    raw = model.with_structured_output(Place, include_raw=True).invoke("Where is Paris?")
    assert isinstance(raw["parsed"], Place)
    assert isinstance(raw["raw"], AIMessage)
    model.max_tokens = 3
    cut = model.with_structured_output(Place, include_raw=True)
    assert cut.invoke("Where?")["parsing_error"] is not None
    with pytest.raises(ModelError, match="unknown method 'poem'"):
        model.with_structured_output(Place, method="poem")


def test_a_tool_call_can_be_forced(model: DiscernChatModel) -> None:
    tools = [look_up, count]
    said = model.bind_tools(tools, tool_choice="count").invoke("Hello!")
    assert [call["name"] for call in said.tool_calls] == ["count"]
    assert isinstance(said.tool_calls[0]["args"]["number"], int)
    assert said.response_metadata["finish_reason"] == "tool_calls"
    model.longest_text = 20
    assert model.bind_tools(tools, tool_choice="any").invoke(ASKED).tool_calls
    free = model.bind_tools(tools).invoke(ASKED)
    assert free.content
    assert not free.tool_calls
    with pytest.raises(ModelError, match="no tool named 'sing'"):
        model.bind_tools(tools, tool_choice="sing")


async def test_concurrent_calls_are_serialized(model: DiscernChatModel) -> None:
    many = 24  # more than a loop's threads
    asked: list[LanguageModelInput] = [f"{ASKED} {number}" for number in range(many)]
    said = await asyncio.wait_for(model.abatch(asked), 60)
    assert len(said) == many
    assert all(message.content for message in said)
    streams = [_collected(model, str(text)) for text in asked]
    assert await asyncio.wait_for(asyncio.gather(*streams), 60) == [x.content for x in said]


async def _collected(model: DiscernChatModel, text: str) -> str:
    return "".join([str(chunk.text) async for chunk in model.astream(text)])


async def test_an_abandoned_stream_releases_the_engine(model: DiscernChatModel) -> None:
    model.max_tokens = 400
    stream = model.astream("Tell me something.", temperature=3.0)
    async for _chunk in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await asyncio.wait_for(model.ainvoke(ASKED), 30)).content
    left = model.stream("Tell me something.")
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert model.invoke(ASKED).content


def test_consecutive_user_messages_are_all_in_the_prompt(model: DiscernChatModel) -> None:
    seen = as_messages([HumanMessage("One."), HumanMessage("Two?"), AIMessage("3"), AIMessage("4")])
    assert [message.role for message in seen] == ["user", "assistant"]
    assert seen[0].content == "One.\nTwo?"
    assert all(one.role != other.role for one, other in pairwise(seen))
