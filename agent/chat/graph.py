"""The LangGraph graph of a conversation: recall → reply, and the events that it emits.

Each run gets its messages from the journal, and the checkpoint has ids only
(`agent/chat/checkpoints.py`). A LangGraph server instead keeps the messages in its own checkpoints,
without recalled text; there, a run that is interrupted between two nodes leaves a question without a
reply, which the next run drops.

Custom stream events (`Recalling`, `Thought`, `Delta`, `Finished`) report what happens, so that a screen
and the command line follow a run in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, SystemMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent.adapters import Adapter
from agent.chat.checkpoints import ChatState
from agent.chat.marking.target_reply import terminal_session
from agent.chat.recall_context import Recaller
from agent.langchain.chat_model import DiscernChatModel
from memory.difference import Turn, new_id, now
from memory.memory import Memory
from memory.recall.hybrid_search import Recalled
from memory.recall.learned_differences import NOTHING_LEARNED, Learned


@dataclass(frozen=True, slots=True)
class Recalling:
    """The differences in the context; sent before the first piece of the reply."""

    items: tuple[Recalled, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the thought before a reply; it is not stored."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The recorded turn.

    `reason` is "end", "length" or "cancelled". Times are in seconds, `context_used` and
    `prompt_reused` in tokens. `dropped` counts the early messages that did not fit.
    """

    turn: Turn
    reason: str
    seconds: float
    first_token: float
    tokens_per_second: float
    context_used: int
    prompt_reused: int
    dropped: int


ChatEvent = Recalling | Thought | Delta | Finished


@dataclass(slots=True)
class Dependencies:
    """Dependencies of the graph's nodes. All but `model` and `memory` may be changed between turns."""

    model: DiscernChatModel
    memory: Memory
    system: str
    model_name: str
    adapter: str | None = None
    recalling: bool = True
    parent: str | None = None
    """The id of the turn that the next one follows ("": none); None means the thread's latest."""
    omitted: int = 0
    """How many earlier messages were left out of the run's input, because they cannot fit."""
    learned: Learned = NOTHING_LEARNED
    """What is left to the adapter instead of being recalled."""
    before_recall: Callable[[], object] = lambda: None
    """Called at the start of each run, for example to apply a new adapter."""
    route: Callable[[str], Adapter | None] | None = None
    """Chooses the adapter for a message; None keeps the one in use."""
    block: str = ""
    items: tuple[Recalled, ...] = ()

    def use_adapter(self, adapter: Adapter | None) -> None:
        """Note which adapter the model uses."""
        self.adapter = adapter.id if adapter else None
        self.learned = adapter.manifest.learned if adapter else NOTHING_LEARNED

    def recall(self, text: str, *, earlier: bool) -> tuple[str, tuple[Recalled, ...]]:
        """Return the recalled block for a message and the differences in it; see `Recaller`.

        `earlier`: the thread has exchanges before the message.
        """
        if not self.recalling:
            return "", ()
        recaller = Recaller.for_engine(self.memory, self.model.engine)
        return recaller.recall(text, self.learned.continued(earlier))


def build(dependencies: Dependencies, checkpointer: BaseCheckpointSaver[Any] | None = None) -> Any:
    """Return the compiled graph over `dependencies`."""
    graph: StateGraph[ChatState] = StateGraph(ChatState)
    graph.add_node("recall", lambda state: _recall(state, dependencies))
    graph.add_node("reply", lambda state, config: _reply(state, config, dependencies))
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "reply")
    graph.add_edge("reply", END)
    compiled: CompiledStateGraph[Any, Any, Any, Any] = graph.compile(checkpointer=checkpointer)
    return compiled


def _recall(state: ChatState, dependencies: Dependencies) -> dict[str, Any]:
    dependencies.before_recall()
    asked = str(state["messages"][-1].text)
    if dependencies.route:
        # Even if the base answers, most of what the adapter learned is not recalled (`Learned`).
        used = dependencies.route(asked)
        dependencies.adapter = used.id if used else None
    earlier = len(state["messages"]) > 1
    dependencies.block, dependencies.items = dependencies.recall(asked, earlier=earlier)
    get_stream_writer()(Recalling(dependencies.items))
    return {"recalled": [item.difference.id for item in dependencies.items]}


def _reply(state: ChatState, config: dict[str, Any], dependencies: Dependencies) -> dict[str, Any]:
    write = get_stream_writer()
    messages = _answered(state["messages"])
    if dependencies.system:
        messages.insert(0, SystemMessage(dependencies.system))
    started = time.monotonic()
    first = 0.0
    text: list[str] = []
    facts: dict[str, Any] = {}
    used, produced = 0, 0
    for chunk in dependencies.model.stream(messages, recalled_block=dependencies.block):
        if thought := chunk.additional_kwargs.get("reasoning_content"):
            write(Thought(thought))
        if content := str(chunk.text):
            first = first or time.monotonic() - started
            text.append(content)
            write(Delta(content))
        facts |= chunk.response_metadata
        if chunk.usage_metadata:
            used = chunk.usage_metadata["total_tokens"]
            produced = chunk.usage_metadata["output_tokens"]
    seconds = time.monotonic() - started
    turn = Turn(
        id=new_id(),
        thread=config["configurable"]["thread_id"],
        at=now(),
        asked=str(state["messages"][-1].text),
        replied="".join(text).strip(),
        model=dependencies.model_name,
        adapter=dependencies.adapter,
        recalled=tuple(state["recalled"]),
        surprisal=tuple(round(value, 4) for value in facts["surprisal"]),
        prompt_tokens=used - produced,
        stopped=facts["finish_reason"] == "cancelled",
        asked_surprisal=facts["asked_surprisal"],
    )
    # Before the graph's checkpoint: the journal is the source of truth, and a reply that was shown
    # can be marked even if the process is killed right here.
    _record(turn, dependencies)
    write(
        Finished(
            turn=turn,
            reason=facts["finish_reason"],
            seconds=seconds,
            first_token=first,
            tokens_per_second=_speed(produced, seconds - first),
            context_used=used,
            prompt_reused=facts["reused"],
            dropped=facts["dropped"] + dependencies.omitted,
        )
    )
    return {"messages": [AIMessage(turn.replied, id=turn.id)], "turn": turn.id}


def _answered(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Return the messages without questions that got no reply."""
    pairs = zip(messages, [*messages[1:], None], strict=True)
    return [one for one, after in pairs if after is None or {one.type, after.type} != {"human"}]


def _record(turn: Turn, dependencies: Dependencies) -> None:
    journal = dependencies.memory.journal
    with journal.transaction():  # one transaction
        parent = journal.turns.add(
            turn,
            [(item.difference.id, item.score, item.matched) for item in dependencies.items],
            after=dependencies.parent,
            place=terminal_session(),
        )
        if parent and turn.asked_surprisal is not None:
            journal.differences.set_next_surprisal(parent, turn.asked_surprisal)
        if turn.recalled:
            dependencies.memory.note_recalled(turn.recalled)


def _speed(tokens: int, seconds: float) -> float:
    """Return tokens per second after the first; 0 for a very short reply."""
    return (tokens - 1) / seconds if tokens >= 8 and seconds > 0 else 0.0
