"""Discern for LangChain's `create_agent(middleware=[DifferenceMiddleware()])`.

Before the agent runs, `/diff …` is saved as a mark and answered; for other messages, past differences
are recalled. They are put into each request to the model; messages and checkpoints have only their
ids. Afterwards the exchange is recorded, so that it can be marked. A `DiscernChatModel` uses the
current adapter; any other model is left as it is.

Needs the package langchain (`pip install "discern[plugin]"`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NotRequired

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain.agents.middleware.types import PrivateStateAttr
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.config import get_config
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

from agent.chat.marking.receipt import receipt
from agent.plugin.companion import (
    Companion,
    has_earlier,
    is_command,
    last_asked,
    receipt_message,
)
from agent.plugin.nodes import thread_of
from memory.errors import DiscernError

STATE = "recalled_differences"


class DifferenceState(AgentState[Any]):
    """The agent's state, and the ids of the differences in the context."""

    recalled_differences: NotRequired[Annotated[list[str], PrivateStateAttr]]


class DifferenceMiddleware(AgentMiddleware[DifferenceState, Any, Any]):
    """Recall, marks and recording for an agent; see the module.

    `companion` defaults to one for this user's home; the caller closes it. `with_tools` offers the
    model the tools `mark_difference` and `recall_differences`.
    """

    state_schema = DifferenceState

    def __init__(self, companion: Companion | None = None, *, with_tools: bool = False) -> None:
        super().__init__()
        self.companion = companion or Companion.open()
        self.tools: Sequence[BaseTool] = difference_tools(self.companion) if with_tools else ()

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: DifferenceState, runtime: Any) -> dict[str, Any] | None:
        """Save a mark, or recall."""
        return self._begin(state, thread_of(get_config()))

    @hook_config(can_jump_to=["end"])
    async def abefore_agent(self, state: DifferenceState, runtime: Any) -> dict[str, Any] | None:
        """Save a mark, or recall."""
        return await asyncio.to_thread(self._begin, state, thread_of(get_config()))

    def _begin(self, state: DifferenceState, thread: str) -> dict[str, Any]:
        asked = last_asked(state["messages"])
        if asked is None:
            return {STATE: []}
        text = str(asked.text)
        if is_command(asked):
            said = receipt_message(self.companion.answer(thread, text, state["messages"]))
            return {"messages": [said], STATE: [], "jump_to": "end"}
        earlier = has_earlier(state["messages"])
        return {STATE: list(self.companion.recall(text, earlier=earlier))}

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Add the recalled differences to the request."""
        return handler(self._shown(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Add the recalled differences to the request."""
        return await handler(await asyncio.to_thread(self._shown, request))

    def _shown(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        self.companion.use_current(request.model, request.messages)
        ids: Sequence[str] = request.state.get(STATE) or ()  # type: ignore[assignment]  # it is untyped
        return request.override(messages=self.companion.placed(request.messages, ids))

    def after_agent(self, state: DifferenceState, runtime: Any) -> dict[str, Any] | None:
        """Record the exchange."""
        self._end(state, thread_of(get_config()))
        return None

    async def aafter_agent(self, state: DifferenceState, runtime: Any) -> dict[str, Any] | None:
        """Record the exchange."""
        await asyncio.to_thread(self._end, state, thread_of(get_config()))
        return None

    def _end(self, state: DifferenceState, thread: str) -> None:
        self.companion.record(thread, state["messages"], state.get("recalled_differences") or ())


def difference_tools(companion: Companion) -> list[BaseTool]:
    """Return `mark_difference` and `recall_differences` over `companion`."""

    @tool
    def mark_difference(  # noqa: PLR0913 - the signature is the schema that the model sees
        config: RunnableConfig,
        state: Annotated[dict[str, Any], InjectedState],
        moment: str = "error",
        note: str = "",
        missed: str = "",
        lost: str = "",
        sounds: str = "",
        scope: str = "here",
        condition: str = "",
        rules: str = "",
    ) -> str:
        """Mark your reply before this message as wrong or unexpected, when the user says so.

        Args:
            config: given by the agent.
            state: given by the agent.
            moment: "error" (it was wrong), "surprise" (too smooth) or "hold" (it was right).
            note: the user's remark in one line.
            missed: what the reply got wrong.
            lost: what the reply left out.
            sounds: the better reply, only if the user gave it.
            scope: which replies it is about: "here" (to this question), "topic", "everywhere", or
                "when" with a condition.
            condition: when it applies, in the user's words.
            rules: what replies must keep, only if the user said it, a line each, such as "at most 40
                words" or "no lists".
        """
        given = {
            "note": note, "missed": missed, "lost": lost, "sounds": sounds, "scope": scope,
            "condition": condition, "rules": rules,
        }  # fmt: skip
        values = {name: text for name, text in given.items() if text.strip()}
        try:
            difference = companion.mark(
                thread_of(config), messages=state["messages"], moment=moment, **values
            )
        except DiscernError as error:
            return str(error)
        return receipt(companion.memory.journal, difference, companion.settings)

    @tool
    def recall_differences(
        query: str, tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> Command[Any]:
        """Look up the user's past corrections that are relevant to a question.

        Args:
            query: what to look for, in the user's words.
            tool_call_id: given by the agent.
        """
        ids = companion.recall(query)
        found = f"{len(ids)} past differences were added to the context." if ids else "None."
        # Their text goes into the next request only; the messages keep the ids.
        said = ToolMessage(found, tool_call_id=tool_call_id)
        return Command(update={STATE: list(ids), "messages": [said]})

    return [mark_difference, recall_differences]
