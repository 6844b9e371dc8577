"""What completion may offer beyond the registry: kinds, adapters, differences and threads."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from tui.completion import Sources

if TYPE_CHECKING:
    from agent.chat import Chat

MOST = 50


def sources(chat: Chat | None) -> Sources:
    """Return where completion looks; without an open chat the kinds alone are known."""
    if chat is None:
        return Sources(kinds=_kinds, themes=_themes)
    return Sources(
        kinds=_kinds,
        adapters=lambda: _adapters(chat),
        differences=lambda: _differences(chat),
        threads=lambda: _threads(chat),
        themes=_themes,
    )


@cache
def _kinds() -> tuple[tuple[str, str], ...]:
    from memory.kinds import kinds

    return tuple((kind.name, kind.shows) for kind in kinds().values())


def _themes() -> Iterable[tuple[str, str]]:
    from tui.themes import THEMES

    for theme in THEMES.values():
        yield theme.name, "dark" if theme.dark else "light"


def _adapters(chat: Chat) -> Iterable[tuple[str, str]]:
    from agent.adapters import list_adapters

    for adapter in list_adapters(chat.home.adapters)[:MOST]:
        count = len(adapter.manifest.differences)
        made = adapter.manifest.created.astimezone()
        yield adapter.id[:8], f"{made:%Y-%m-%d %H:%M}, {count} difference{'s' * (count != 1)}"


def _differences(chat: Chat) -> Iterable[tuple[str, str]]:
    for identity, moment, asked in chat.journal.latest(MOST):
        yield identity[:8], f"{moment}: {asked}"


def _threads(chat: Chat) -> Iterable[tuple[str, str]]:
    for name, turns, at in chat.journal.threads()[:MOST]:
        yield name, f"{turns} turn{'s' * (turns != 1)}, {at.astimezone():%Y-%m-%d %H:%M}"
