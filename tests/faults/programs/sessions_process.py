"""Rename and delete threads until killed; started by `test_sessions_killed`.

Like `journal_process`, it imports once and forks a worker for each line of its input. A worker prints
what it is about to do to which thread, and when it is done.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph

from agent.chat.checkpoints import ChatState, checkpoints
from agent.chat.sessions import delete, rename
from memory.difference import Turn, new_id, now
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.faults.programs.sessions_words import TURNS, word
from tests.faults.programs.workers import fork_for_each_line, say


def work(home: Home, settings: Settings, *, seed: int) -> None:
    """Write threads, rename half of them and delete the other half; each step is printed."""
    draw = random.Random(seed)
    with Memory.open(home, settings, dense=False) as memory:
        for number in range(seed * 1000, seed * 1000 + 1000):
            name = f"thread {word(number)}"
            tell(home, memory, name, number)
            say(told=number)
            if draw.random() < 0.5:
                say(renaming=number)
                rename(home, memory.journal, name, f"renamed {word(number)}")
                say(renamed=number)
            else:
                say(deleting=number)
                delete(home, memory, name)
                say(deleted=number)


def tell(home: Home, memory: Memory, name: str, number: int) -> None:
    """Have a thread in both files: turns in the journal, and a checkpoint for each."""
    with checkpoints(home.checkpoints) as saver:
        graph = bare().compile(checkpointer=saver)
        for place in range(TURNS):
            said = f"{word(number)} {place} " * (1 + number % 40)
            turn = Turn(new_id(), name, now(), said, f"So {said}", "tiny@0")
            memory.journal.turns.add(turn)
            config: Any = {"configurable": {"thread_id": name}}
            told: Any = {"messages": [("user", said)], "turn": turn.id}
            graph.invoke(told, config, durability="exit")
        if number % 3 == 0:
            memory.mark(turn, MarkRequest("surprise", note=f"kept {number}"))


def bare() -> StateGraph[ChatState]:
    """A graph with the chat's state and nothing to run, so that no model is needed."""
    graph: StateGraph[ChatState] = StateGraph(ChatState)
    graph.add_node("reply", lambda _state: {})
    graph.add_edge(START, "reply")
    graph.add_edge("reply", END)
    return graph


def main() -> None:
    home = Home.at(Path(sys.argv[1]))
    settings = read_settings(home)
    fork_for_each_line(lambda order: work(home, settings, seed=order["seed"]))


if __name__ == "__main__":
    main()
