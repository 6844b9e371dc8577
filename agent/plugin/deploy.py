"""Discern's own graph for a LangGraph server; `langgraph.json` points here.

The server has its own checkpointer. Model, memory and settings come from this user's home, or the one
that `DISCERN_HOME` names, and stay open until the process ends. Each message is answered with the
adapter that is current when it arrives.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import cache
from typing import Any

from agent.adapters import base_sha256
from agent.chat.graph import Dependencies, build
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.models.current_adapter import CurrentAdapter
from agent.models.served_model import embedder, sampling, served_model
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import read_settings

_open = ExitStack()


@cache
def graph() -> Any:
    """Return the compiled graph.

    Raises:
        DiscernError: the home, the settings' model or the journal cannot be used.
    """
    home = Home.locate().prepare()
    settings = read_settings(home)
    engine = _open.enter_context(Engine.open(served_model(settings), settings.model))
    sha = base_sha256(engine.info.path, home.cache)
    memory = _open.enter_context(Memory.open(home, settings, embedder=embedder(settings)))
    current = CurrentAdapter(engine, home, sha, memory.journal.differences.questions)

    def before_recall() -> None:
        current.update()
        dependencies.use_adapter(current.adapter)

    model = DiscernChatModel(
        engine=engine,
        sampling=sampling(settings, engine),
        thinking=settings.chat.thinking,
    )
    dependencies = Dependencies(
        model=model,
        memory=memory,
        system=settings.chat.system,
        model_name=f"{engine.info.name}@{sha[:12]}",
        recalling=settings.recall.enabled,
        before_recall=before_recall,
        route=current.route,
    )
    return build(dependencies)


def close() -> None:
    """Free what `graph` opened; calling `graph` again reopens it."""
    _open.close()
    graph.cache_clear()


atexit.register(close)
