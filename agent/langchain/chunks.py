"""Convert a generation to LangChain chunks: answer, thoughts, tool calls, and metadata at the end.

Text is held back only while it could be the start of a stop sequence or a tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from agent.llama.engine import Engine
from agent.llama.generation import Generation, Piece
from agent.prompt.prompt import Prompt
from agent.prompt.reply_parser import ReplyPart, ReplyReader
from agent.prompt.tool_calls import read_call


@dataclass(slots=True)
class Call:
    """One call of the model."""

    engine: Engine
    prompt: Prompt
    generation: Generation
    reader: ReplyReader
    stops: tuple[str, ...]
    logprobs: bool
    calls: int = 0
    thought: int = 0
    spoken: list[float] = field(default_factory=list)
    """Surprisal in nats of the tokens outside thoughts."""

    def chunks(self) -> Iterator[ChatGenerationChunk]:
        """Yield the reply, then a last chunk with its metadata."""
        seen: list[dict[str, Any]] = []
        for text, piece in _until_stop(self.generation, self.stops):
            before = self.reader.inside
            parts = list(self.reader.feed(text))
            if piece is not None:
                seen.append({"token": piece.text, "logprob": -piece.surprisal})
                if "thought" in (before, self.reader.inside):
                    self.thought += 1
                else:
                    self.spoken.append(piece.surprisal)
            for part in parts:
                yield self._chunk(part)
        for part in self.reader.close():
            yield self._chunk(part)
        self.generation.close()
        yield self._last(seen)

    def _chunk(self, part: ReplyPart) -> ChatGenerationChunk:
        if part.kind == "said":
            return ChatGenerationChunk(message=AIMessageChunk(content=part.text))
        if part.kind == "thought":
            return ChatGenerationChunk(
                message=AIMessageChunk(
                    content="", additional_kwargs={"reasoning_content": part.text}
                )
            )
        call = read_call(part.text)
        self.calls += 1
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_call_chunks=[
                    tool_call_chunk(
                        name=call["name"],
                        args=json.dumps(call["args"], ensure_ascii=False)
                        if isinstance(call["args"], dict)
                        else call["args"],
                        id=call["id"],
                        index=self.calls - 1,
                    )
                ],
            )
        )

    def _last(self, seen: list[dict[str, Any]]) -> ChatGenerationChunk:
        made, prompt = self.generation, self.prompt
        count = len(made.tokens)
        facts: dict[str, Any] = {
            "model_name": self.engine.info.name,
            "model_provider": "discern",
            "finish_reason": "tool_calls" if self.calls and made.reason == "end" else made.reason,
            "surprisal": self.spoken,
            "asked_surprisal": _mean(made.prompt_surprisal),
            "dropped": prompt.dropped,
            "reused": made.reused,
        }
        if self.logprobs:
            facts["logprobs"] = {"content": seen}
        return ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                response_metadata=facts,
                usage_metadata=UsageMetadata(
                    input_tokens=len(prompt.tokens),
                    output_tokens=count,
                    total_tokens=len(prompt.tokens) + count,
                    input_token_details=InputTokenDetails(cache_read=made.reused),
                    output_token_details=OutputTokenDetails(reasoning=self.thought),
                ),
                chunk_position="last",
            )
        )


def result_of(chunks: Sequence[ChatGenerationChunk]) -> ChatResult:
    """Join the chunks of a call."""
    whole = chunks[0].message
    for chunk in chunks[1:]:
        whole = whole + chunk.message
    assert isinstance(whole, AIMessageChunk)
    message = AIMessage(
        content=whole.content,
        additional_kwargs=whole.additional_kwargs,
        response_metadata=whole.response_metadata,
        tool_calls=whole.tool_calls,
        invalid_tool_calls=whole.invalid_tool_calls,
        usage_metadata=whole.usage_metadata,
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _until_stop(generation: Generation, stops: Sequence[str]) -> Iterator[tuple[str, Piece | None]]:
    """Yield the reply's text up to the first of `stops`, holding back what could start one.

    Each text comes with the token that completed it; the rest at the end comes with None.
    """
    held = ""
    longest = max((len(stop) for stop in stops), default=1)
    for piece in generation:
        held += piece.text
        at = min((held.find(stop) for stop in stops if stop in held), default=-1)
        if at >= 0:
            yield held[:at], piece
            generation.reason = "stop"
            return
        ready = max(0, len(held) - (longest - 1))
        yield held[:ready], piece
        held = held[ready:]
    yield held + generation.tail, None
