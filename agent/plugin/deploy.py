"""Our own graph for a LangGraph server; `langgraph.json` points here.

The server brings its own checkpointer. Model, memory and settings are this user's (`DISCERN_HOME`
names another home) and stay open as long as the process lives. The adapter that is current when a
message comes is worn.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack, suppress
from functools import cache
from typing import Any

from agent.adapters import base_sha256
from agent.chat.graph import Dependencies, build
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.models.serving import embedder, sampling, served_model
from agent.plugin.adapter_watch import wear_current
from memory.errors import AdapterError
from memory.memory import Memory
from memory.settings.settings import Home, read_settings

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

    def before_recall() -> None:
        with suppress(AdapterError):  # a damaged one: the adapter in use stays
            dependencies.serve(wear_current(engine, home))

    model = DiscernChatModel(
        engine=engine,
        sampling=sampling(settings, engine),
        thinking=settings.chat.thinking,
    )
    dependencies = Dependencies(
        model=model,
        memory=_open.enter_context(Memory.open(home, settings, embedder=embedder(settings))),
        system=settings.chat.system,
        served=f"{engine.info.name}@{sha[:12]}",
        recalling=settings.recall.enabled,
        before_recall=before_recall,
    )
    return build(dependencies)


def close() -> None:
    """Free what `graph` opened; it may be asked for again."""
    _open.close()
    graph.cache_clear()


atexit.register(close)
