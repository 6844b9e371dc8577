"""A LangChain chat model over the engine.

Takes LangChain messages, composes them with the model's own template and streams the reply. What was
recalled is handed over as `recalled_block` and never becomes a message. One call at a time: the
engine's lock makes the others wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from agent.engine import Engine, Generation, Sampling
from agent.prompt import compose
from memory.difference import Message, Role

MOST_MEASURED = 64
"""Tokens of a message whose surprisal is measured at most: enough for a mean, and cheap."""

_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system"}


class DiscernChatModel(BaseChatModel):
    """The served GGUF as a chat model; `engine` must stay open while this is used."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: Engine
    sampling: Sampling
    thinking: bool = False
    on_generation: Any = None
    """Called with each `Generation` before it runs, so that somebody can cancel it."""

    @property
    def _llm_type(self) -> str:
        return "discern"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunk: ChatGenerationChunk | None = None
        for part in self._stream(messages, stop, run_manager, **kwargs):
            chunk = part if chunk is None else chunk + part
        assert chunk is not None  # _stream always ends with a usage chunk
        message = AIMessage(
            content=chunk.message.content,
            response_metadata=chunk.message.response_metadata,
            usage_metadata=getattr(chunk.message, "usage_metadata", None),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        recalled_block: str = "",
        **_kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        prompt = compose(
            self.engine,
            as_messages(messages),
            block=recalled_block,
            thinking=self.thinking,
            room=reply_room(self.engine, self.sampling),
        )
        heard = prompt.asked[:MOST_MEASURED]
        generation = self.engine.generate(prompt.tokens, self.sampling, heard)
        if self.on_generation:
            self.on_generation(generation)
        for text in _until_stop(generation, stop or ()):
            if text:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
                if run_manager:
                    run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
        generation.close()
        count = len(generation.tokens)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                response_metadata={
                    "finish_reason": generation.reason,
                    "surprisal": tuple(generation.surprisal),
                    "asked_surprisal": _mean(generation.heard),
                    "dropped": prompt.dropped,
                    "reused": generation.reused,
                },
                usage_metadata=UsageMetadata(
                    input_tokens=len(prompt.tokens),
                    output_tokens=count,
                    total_tokens=len(prompt.tokens) + count,
                ),
            )
        )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def reply_room(engine: Engine, sampling: Sampling) -> int:
    """Tokens kept free for the reply: `max_tokens`, but never more than a quarter of the context."""
    return min(sampling.max_tokens, engine.info.context // 4)


def as_messages(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return LangChain messages as ours; a question that never got a reply is left out.

    Raises:
        ValueError: a role that has no place in a plain conversation (tool messages).
    """
    found: list[Message] = []
    for message in messages:
        if message.type not in _ROLES:
            raise ValueError(f"a {message.type!r} message cannot be placed in a conversation")
        role = _ROLES[message.type]
        if found and found[-1].role == role == "user":
            found.pop()  # cut off before it was answered
        found.append(Message(role, str(message.text)))
    return found


def _until_stop(generation: Generation, stops: Sequence[str]) -> Iterator[str]:
    """Yield the reply's text up to the first of `stops`, holding back what could begin one."""
    held = ""
    longest = max((len(stop) for stop in stops), default=1)
    for piece in generation:
        held += piece.text
        at = min((held.find(stop) for stop in stops if stop in held), default=-1)
        if at >= 0:
            yield held[:at]
            generation.reason = "stop"
            return
        ready = len(held) - (longest - 1)
        if ready > 0:
            yield held[:ready]
            held = held[ready:]
    yield held + generation.tail
