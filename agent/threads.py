"""The SQLite file of the conversations' checkpoints: opening it, and taking talk out of it for good.

LangGraph keeps a checkpoint for each step and each holds the whole talk, so a turn stands in all that
came after it. `erase_turns` lets the latest checkpoint stand without the turn and removes every other
one of that thread; `secure_delete`, `vacuum` and folding the write-ahead log into the file see to it
that the bytes are gone, too. A crash in the middle leaves the talk as it was or without the turn,
never half; erasing again ends what was begun. `erase_thread` does the same to a whole thread.

The journal knows the branches of a talk; the checkpoint holds the one that was chosen and is brought
level with it before each message (`level_with_branch`).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

from memory.errors import HomeError
from memory.journal import Journal


class ChatState(TypedDict):
    """The checkpointed state of a thread. The reply's message has its turn's id."""

    messages: Annotated[list[AnyMessage], add_messages]
    recalled: list[str]


@contextmanager
def checkpoints(path: Path) -> Iterator[SqliteSaver]:
    """Open the SQLite file of the conversations' checkpoints.

    Raises:
        HomeError: it cannot be opened.
    """
    with ExitStack() as stack:
        with _explained(path):
            if not path.exists():  # for its owner alone, in whatever folder
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
            stack.callback(connection.close)
            connection.execute("pragma secure_delete=on")
            saver = SqliteSaver(connection)
            saver.setup()
        yield saver


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise HomeError(
            f"cannot use {path}: {said}; check free space and permissions of its folder"
        ) from error


def level_with_branch(graph: Any, thread: str, journal: Journal, last: str) -> bool:
    """Let a thread's checkpoint hold the branch that ends with the turn `last`; whether it changed.

    Nothing to do is the usual case and costs a look at the last reply. What a crash left out of the
    checkpoint is put in, too: the journal is the truth.
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    held = graph.get_state(config).values.get("messages", [])
    said = next((message.id for message in reversed(held) if message.type == "ai"), "")
    if said == last:
        return False
    messages: list[AnyMessage] = []
    for turn in journal.branch(thread, last=last):
        if turn.asked:
            messages += [HumanMessage(turn.asked), AIMessage(turn.replied, id=turn.id)]
    gone = RemoveMessage(id=REMOVE_ALL_MESSAGES)
    graph.update_state(config, {"messages": [gone, *messages]}, as_node="reply")
    return True


def erase_turns(path: Path, thread: str, turns: Collection[str]) -> int:
    """Take the messages of these turns (ids) out of a thread; returns how many were there.

    Raises:
        HomeError: the file cannot be used, or another process is writing it.
    """
    if not path.exists():
        return 0
    with checkpoints(path) as saver:
        graph = bare().compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        messages = graph.get_state(config).values.get("messages", [])
        gone = _of_turns(messages, turns)
        with _explained(path):
            if gone:
                removed = [RemoveMessage(id=str(message.id)) for message in gone]
                graph.update_state(config, {"messages": removed}, as_node="reply")
            # Also when nothing is left to remove: an earlier call may have been cut off right here.
            _keep_latest(saver, thread)
    return len(gone)


def erase_thread(path: Path, thread: str) -> None:
    """Take all of a thread out; what the journal still has of it is put in again with its next message.

    Raises:
        HomeError: the file cannot be used, or another process is writing it.
    """
    if not path.exists():
        return
    with checkpoints(path) as saver, _explained(path):
        with saver.lock, saver.conn as connection:
            connection.execute("begin immediate")
            for table in ("writes", "checkpoints"):
                connection.execute(f"delete from {table} where thread_id = ?", (thread,))
        _fold(saver)


def _of_turns(messages: list[Any], turns: Collection[str]) -> list[Any]:
    """Return the replies with these ids, each with the questions since the reply before it."""
    gone: list[Any] = []
    since: list[Any] = []
    for message in messages:
        since.append(message)
        if message.type == "ai":
            if message.id in turns:
                gone += since
            since = []
    return gone


def _keep_latest(saver: SqliteSaver, thread: str) -> None:
    connection = saver.conn
    with saver.lock, connection:
        connection.execute("begin immediate")
        latest = "(select max(checkpoint_id) from checkpoints where thread_id = ?)"
        for table in ("writes", "checkpoints"):
            connection.execute(
                f"delete from {table} where thread_id = ? and checkpoint_id <> {latest}",
                (thread, thread),
            )
    _fold(saver)


def _fold(saver: SqliteSaver) -> None:
    with saver.lock:
        saver.conn.execute("vacuum")
        saver.conn.execute("pragma wal_checkpoint(truncate)")


def bare() -> StateGraph[ChatState]:
    """A graph with the state of the chat's and nothing to run, so that no model is needed."""
    graph: StateGraph[ChatState] = StateGraph(ChatState)
    graph.add_node("reply", lambda _state: {})
    graph.add_edge(START, "reply")
    graph.add_edge("reply", END)
    return graph
