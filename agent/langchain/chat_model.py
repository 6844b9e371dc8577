"""A LangChain chat model over the engine.

LangChain messages are composed with the model's own template and the reply is streamed. Recalled text
is passed as `recalled_block` and never becomes a message. Thoughts of a thinking model are separate,
in `additional_kwargs["reasoning_content"]`; tool calls are LangChain's. One call runs at a time: the
engine's lock makes the others wait.

Standard parameters (temperature, max_tokens, seed, stop, top_p, top_k, min_p, repeat_penalty) can be
set on the model, bound, or passed with a call. `logprobs=True` adds the log-probability of each token.
`response_format` ({"type": "json_object"} or {"type": "json_schema", "json_schema": {…}}) and
`tool_choice` are enforced by llama.cpp grammars: the reply cannot be anything else, unless `max_tokens`
cuts it off.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from agent.langchain.chunks import Call, result_of
from agent.langchain.structured import bound_to_schema
from agent.llama.engine import Engine
from agent.llama.generation import Generation
from agent.llama.sampling_parameters import Sampling, json_grammar
from agent.models.served_model import STARTER
from agent.prompt.prompt import compose
from agent.prompt.reply_parser import ReplyReader
from agent.prompt.tool_calls import (
    Tool,
    as_messages,
    bounded,
    call_grammar,
    choice_of,
    schema_text,
    tools_text,
)
from memory.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MOST_MEASURED = 64
"""Most tokens of a message whose surprisal is measured: enough for a mean, and cheap."""
_DRAWING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "max_tokens")


class DiscernChatModel(BaseChatModel):
    """The served GGUF as a chat model; `engine` must stay open while this is used."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    engine: Engine
    sampling: Sampling = Sampling()
    thinking: bool = False
    on_generation: Any = None
    """Called with each `Generation` before it runs, so that it can be cancelled."""

    longest_text: int = 0
    """Most characters of a JSON string whose schema sets no `maxLength`; 0 means no limit. A small
    model may never close a string by itself, and `max_tokens` would then cut off the JSON."""
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: list[str] | None = None

    @classmethod
    def from_gguf(cls, path: Path | str = "", **values: Any) -> DiscernChatModel:
        """Return a model over the GGUF at `path` ("": the starter); `values` are the fields.

        Raises:
            ModelError: it cannot be served.
        """
        return cls(engine=Engine.open(path or STARTER), **values)

    @property
    def _llm_type(self) -> str:
        return "discern"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.engine.info.name, "thinking": self.thinking}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        drawing = self._drawing(kwargs)
        return LangSmithParams(
            ls_provider="discern",
            ls_model_name=kwargs.get("model") or self.engine.info.name,
            ls_model_type="chat",
            ls_temperature=drawing.temperature,
            ls_max_tokens=drawing.max_tokens,
            ls_stop=stop or self.stop,
        )

    # --- tools and structure -----------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer `tools`; `tool_choice` forces a call of any tool ("any", True) or of the named one.

        Raises:
            ModelError: `tool_choice` names none of them.
        """
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        choice = choice_of(tool_choice)
        call_grammar(formatted, choice)
        return self.bind(tools=formatted, tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: str = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose replies follow `schema` (pydantic, TypedDict or JSON schema).

        `method`: "json_schema" (a grammar enforces the schema), "json_mode" (the same, but the model
        is not shown the schema), "function_calling" (a forced tool call).
        """
        if method == "function_calling":
            kwargs.pop("strict", None)
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        return bound_to_schema(self, schema, method=method, include_raw=include_raw)

    # --- calling -----------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(list(self._stream(messages, stop, run_manager, **kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return result_of(
            [chunk async for chunk in self._astream(messages, stop, run_manager, **kwargs)]
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._asked(messages, stop, kwargs) as call:
            for chunk in call.chunks():
                if run_manager:
                    run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        # A thread for each call, not the loop's executor: calls waiting for the engine would fill its
        # few threads, and the one that holds the engine could not continue.
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[ChatGenerationChunk | BaseException | None] = asyncio.Queue()
        left = threading.Event()
        started: list[Generation] = []

        def work() -> None:
            try:
                with self._asked(messages, stop, kwargs) as call:
                    started.append(call.generation)
                    if left.is_set():
                        return
                    for chunk in call.chunks():
                        loop.call_soon_threadsafe(chunks.put_nowait, chunk)
                loop.call_soon_threadsafe(chunks.put_nowait, None)
            except BaseException as error:
                if not left.is_set():
                    loop.call_soon_threadsafe(chunks.put_nowait, error)

        threading.Thread(target=work, name="discern-reply", daemon=True).start()
        try:
            while (chunk := await chunks.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                if run_manager:
                    await run_manager.on_llm_new_token(str(chunk.text), chunk=chunk)
                yield chunk
        finally:
            left.set()
            for generation in started:
                generation.cancel()

    @contextmanager
    def _asked(
        self, messages: list[BaseMessage], stop: list[str] | None, values: Mapping[str, Any]
    ) -> Iterator[Call]:
        """Compose a call for a `with` block; leaving the block releases the engine."""
        tools: list[Tool] = list(values.get("tools") or ())
        choice = choice_of(values.get("tool_choice"))
        system = [tools_text(tools)] if tools and choice != "none" else []
        grammar = call_grammar(tools, choice, self.longest_text)
        if form := values.get("response_format"):
            schema, told = _schema_of(form)
            grammar = json_grammar(bounded(schema, self.longest_text))
            system += [schema_text(schema)] if told else []
        drawing = replace(self._drawing(values), grammar=grammar)
        # A grammar describes the whole reply, so it leaves no place for a thought.
        thinking = bool(values.get("thinking", self.thinking)) and not grammar
        prompt = compose(
            self.engine,
            as_messages(messages, system),
            block=values.get("recalled_block", ""),
            thinking=thinking,
            room=reply_room(self.engine, drawing),
        )
        generation = self.engine.generate(
            prompt.tokens, drawing, prompt.asked[:MOST_MEASURED], prompt.settled
        )
        if self.on_generation:
            self.on_generation(generation)
        reader = ReplyReader(thinking=prompt.thinks, calls=bool(tools))
        stops = tuple(stop or self.stop or ())
        try:
            yield Call(self.engine, prompt, generation, reader, stops, bool(values.get("logprobs")))
        finally:
            generation.close()

    def _drawing(self, values: Mapping[str, Any]) -> Sampling:
        own = {name: getattr(self, name, None) for name in ("temperature", "max_tokens", "seed")}
        given = {name: values[name] for name in _DRAWING if values.get(name) is not None}
        chosen = {name: value for name, value in {**own, **given}.items() if value is not None}
        return replace(self.sampling, **chosen)


def _schema_of(form: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the schema of a `response_format`, and whether the model is shown it."""
    if form.get("type") == "json_object":
        return dict(form.get("schema") or {"type": "object"}), False
    try:
        given = form["json_schema"]
        return dict(given.get("schema", given)), True
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelError(
            "unknown response_format {form!r}; use json_object or json_schema",
            form=str(form)[:80],
        ) from None


def reply_room(engine: Engine, sampling: Sampling) -> int:
    """Return the tokens reserved for the reply: `max_tokens`, at most a quarter of the context."""
    return min(sampling.max_tokens, engine.info.context // 4)
