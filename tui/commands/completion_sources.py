"""Completions that depend on data: kinds, adapters, differences, threads and themes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from memory.i18n.interface_language import language, tr, trn
from tui.commands.completion import Sources

if TYPE_CHECKING:
    from agent.chat.chat import Chat

MAX_OFFERED = 50


def sources(chat: Chat | None) -> Sources:
    """Return the sources of completions; without an open chat, kinds and themes only."""
    if chat is None:
        return Sources(kinds=_kinds, themes=_themes)
    return Sources(
        kinds=_kinds,
        adapters=lambda: _adapters(chat),
        differences=lambda: _differences(chat),
        threads=lambda: _threads(chat),
        themes=_themes,
    )


def _kinds() -> tuple[tuple[str, str], ...]:
    return _kinds_in(language())


@cache
def _kinds_in(_language: str) -> tuple[tuple[str, str], ...]:
    from memory.kinds import kinds, typed

    return tuple((typed(kind.name), kind.meaning) for kind in kinds().values())


def _themes() -> Iterable[tuple[str, str]]:
    from tui.terminal.themes import THEMES

    for theme in THEMES.values():
        yield theme.name, tr("dark") if theme.dark else tr("light")


def _adapters(chat: Chat) -> Iterable[tuple[str, str]]:
    from agent.adapters import list_adapters

    for adapter in list_adapters(chat.home.adapters)[:MAX_OFFERED]:
        count = len(adapter.manifest.differences)
        made = adapter.manifest.created.astimezone()
        learnt = trn("{n} difference", "{n} differences", count)
        yield adapter.id[:8], f"{made:%Y-%m-%d %H:%M}, {learnt}"


def _differences(chat: Chat) -> Iterable[tuple[str, str]]:
    for identity, moment, asked in chat.journal.differences.latest(MAX_OFFERED):
        yield identity[:8], f"{tr(moment)}: {asked}"


def _threads(chat: Chat) -> Iterable[tuple[str, str]]:
    for name, turns, at in chat.journal.threads.all()[:MAX_OFFERED]:
        yield name, f"{trn('{n} turn', '{n} turns', turns)}, {at.astimezone():%Y-%m-%d %H:%M}"
