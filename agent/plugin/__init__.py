"""Discern's memory and training for other agents: the public names.

    from agent.plugin import DifferenceMiddleware           # LangChain's create_agent
    from agent.plugin import Companion, recall_node, record_node   # a raw StateGraph
    from agent.plugin import DifferenceStore                # a LangGraph store over the journal

`DifferenceMiddleware` and `difference_tools` need the package langchain and are imported on first use.
The nightly training is `trainer/loop.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.langchain.chat_model import DiscernChatModel
from agent.plugin.adapter_watch import current, on_change, use_current, wear_current
from agent.plugin.companion import Companion
from agent.plugin.nodes import recall_node, record_node
from agent.plugin.store import DifferenceStore

if TYPE_CHECKING:
    from agent.plugin.middleware import DifferenceMiddleware, difference_tools

__all__ = [
    "Companion",
    "DifferenceMiddleware",
    "DifferenceStore",
    "DiscernChatModel",
    "current",
    "difference_tools",
    "on_change",
    "recall_node",
    "record_node",
    "use_current",
    "wear_current",
]


def __getattr__(name: str) -> Any:
    if name not in ("DifferenceMiddleware", "difference_tools"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from agent.plugin import middleware
    except ImportError as error:
        raise ImportError(
            f'{name} needs LangChain: pip install "discern[plugin]" ({error})'
        ) from error
    return getattr(middleware, name)
