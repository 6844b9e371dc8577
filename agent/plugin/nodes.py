"""Two nodes for a raw `StateGraph`: recall before the reply, record after it.

    graph.add_node("recall", recall_node(companion, then="reply"))
    graph.add_node("record", record_node(companion))

The state needs `messages` (with `add_messages`) and `recalled: list[str]`, which gets ids only. The
node between them calls the model with `companion.placed(state["messages"], state["recalled"])`.
"""

from __future__ import annotations

from typing import Any, Protocol

from langgraph.config import get_config
from langgraph.graph import END
from langgraph.types import Command

from agent.plugin.companion import (
    Companion,
    has_earlier,
    is_command,
    last_asked,
    receipt_message,
)


class RecallNode(Protocol):
    """A node that continues to another one with the ids of what was recalled."""

    def __call__(self, state: Any) -> Command[Any]:
        """Run the node."""


class RecordNode(Protocol):
    """A node that writes to the journal and changes nothing in the state."""

    def __call__(self, state: Any) -> dict[str, Any]:
        """Run the node."""


MAIN = "main"
"""The name of the thread when the graph runs without a checkpointer."""


def thread_of(config: Any = None) -> str:
    """Return the name of the thread that the graph runs in."""
    found = config if config is not None else get_config()
    return str((found.get("configurable") or {}).get("thread_id") or MAIN)


def recall_node(companion: Companion, *, then: str) -> RecallNode:
    """Return a node that recalls and continues with the node `then`.

    It answers `/diff …` with the receipt and ends the run.
    """

    def recall(state: Any) -> Command[Any]:
        asked = last_asked(state["messages"])
        if asked is None:
            return Command(update={"recalled": []}, goto=then)
        text = str(asked.text)
        if is_command(asked):
            said = receipt_message(companion.answer(thread_of(), text, state["messages"]))
            return Command(update={"messages": [said], "recalled": []}, goto=END)
        ids = companion.recall(text, earlier=has_earlier(state["messages"]))
        return Command(update={"recalled": list(ids)}, goto=then)

    return recall


def record_node(companion: Companion) -> RecordNode:
    """Return a node that records the exchange in the journal, so that it can be marked."""

    def record(state: Any) -> dict[str, Any]:
        companion.record(thread_of(), state["messages"], state.get("recalled") or ())
        return {}

    return record
