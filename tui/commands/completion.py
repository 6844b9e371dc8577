"""Completion of slash commands and their arguments.

`Sources` provides completions from the open chat. Its functions are called at every key press, so they
must be fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from memory.i18n.interface_language import tr
from tui.commands.registry import Command, find, found, in_order


@dataclass(frozen=True, slots=True)
class Sources:
    """Completions that depend on the open chat; each function yields (word, hint) pairs."""

    kinds: Callable[[], Iterable[tuple[str, str]]] = tuple
    adapters: Callable[[], Iterable[tuple[str, str]]] = tuple
    differences: Callable[[], Iterable[tuple[str, str]]] = tuple
    threads: Callable[[], Iterable[tuple[str, str]]] = tuple
    themes: Callable[[], Iterable[tuple[str, str]]] = tuple


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion: the new text of the input, its row in the menu, and whether Enter may send it."""

    text: str
    label: str
    hint: str
    ready: bool = False


def complete(line: str, sources: Sources | None = None) -> list[Completion]:
    """Return completions of a line; none for a message."""
    if not line.startswith("/") or "\n" in line:
        return []
    name, space, rest = line[1:].partition(" ")
    if not space:
        return _names(name.lower())
    command = find(name)
    if command is None or "=>" in rest:
        return []
    return _arguments(command, name, rest, sources or Sources())


def _names(typed: str) -> list[Completion]:
    return [
        Completion(
            f"/{command.name}" + (" " if command.argument else ""),
            f"/{command.name}",
            tr(command.hint),
            ready=not command.argument or typed in (command.name, *command.aliases),
        )
        for command in found(typed)
    ]


def _arguments(command: Command, name: str, rest: str, sources: Sources) -> list[Completion]:
    *before, last = [rest] if command.name == "thread" else rest.split(" ")
    offers: Sequence[tuple[str, str]] = ()
    more = False
    if not before:
        offers = tuple((_word(command, word), tr(hint)) for word, hint in command.words)
        more = command.name in ("diff",)
        if command.name == "contrast":
            offers = tuple(sources.differences())
        if command.name == "thread":
            offers = tuple(sources.threads())
        if command.name == "theme":
            offers = tuple(sources.themes())
    elif command.name == "diff" and len(before) == 1 and before[0].lower() in _MOMENTS:
        offers, more = tuple(sources.kinds()), True
    elif before == ["use"] and command.name == "adapters":
        offers = tuple(sources.adapters())
    elif len(before) == 1 and before[0] in _OF_MEMORY and command.name == "memory":
        offers = tuple(sources.differences())
    start = " ".join([f"/{name}", *before])
    typed = last.lower()
    chosen = [offer for offer in offers if offer[0].lower().startswith(typed)]
    chosen += [
        offer for offer in offers if offer not in chosen and typed and typed in offer[0].lower()
    ]
    if len(typed) > 1 and offers and before:  # `cmn` for tactical/commonplace
        chosen += [
            offer
            for offer in offers
            if offer not in chosen
            and any(part[:1] == typed[0] and in_order(typed, part) for part in offer[0].split("/"))
        ]
    return [
        Completion(
            f"{start} {word}" + (" " if more or word in _WANT_MORE else ""),
            word,
            hint,
            ready=word not in _WANT_MORE,
        )
        for word, hint in chosen
        if word != last
    ]


def _word(command: Command, word: str) -> str:
    """Return a word in the user's language where /diff accepts that."""
    return tr(word) if command.name == "diff" else word


_MOMENTS = (
    "error",
    "surprise",
    "hold",
    "ошибка",
    "неожиданность",
    "удивление",
    "удачно",
    "держит",
)
_OF_MEMORY = ("show", "edit", "pin", "unpin", "forget")
_WANT_MORE = ("use", *_OF_MEMORY)
