"""Shell completion values for arguments: names and ids.

Runs at every press of Tab, so heavy modules are not imported. Values are sanitized because thread
names and message text go to the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    import click

    from memory.settings.paths import Home

Offer = Callable[["click.Context", "click.Parameter", str], list[CompletionItem]]


def _offering(pairs: Callable[[Home], Iterable[tuple[str, str]]]) -> Offer:
    def offer(
        _context: click.Context, _parameter: click.Parameter, typed: str
    ) -> list[CompletionItem]:
        from memory.settings.paths import Home
        from tui.terminal.sanitize import one_line

        begun = typed.lower()
        found = [(one_line(word), said) for word, said in pairs(Home.locate())]
        return [
            CompletionItem(word, help=one_line(said[:80]) or None)
            for word, said in found
            if word.lower().startswith(begun)
        ]

    return offer


def _threads(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.threads(home)


def _differences(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.differences(home)


def _turns(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.turns(home)


def _adapters(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.adapters(home)


def _sides(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    yield "base", "the base model alone"
    yield "base+recall", "the base model with recall"
    yield "current", "the current adapter"
    yield from completion_queries.adapters(home)


def _kinds(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.kinds(home)


def _runs(home: Home) -> Iterable[tuple[str, str]]:
    from tui.cli import completion_queries

    return completion_queries.runs(home)


def _here(home: Home) -> Iterable[tuple[str, str]]:
    from agent.models.models import find_models

    yield "starter", "included with Discern"
    for item in find_models(home):
        yield item.name, f"{item.size / 1e6:,.0f} MB"


def _known(_home: Home) -> Iterable[tuple[str, str]]:
    from agent.models.models import known_models

    for item in known_models():
        yield item.name, f"{item.repo}, {', '.join(item.files)}"


threads = _offering(_threads)
differences = _offering(_differences)
turns = _offering(_turns)
adapters = _offering(_adapters)
sides = _offering(_sides)
kinds = _offering(_kinds)
runs = _offering(_runs)
models_here = _offering(_here)
models_known = _offering(_known)


def model_files(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Let the shell complete a path."""
    return [CompletionItem(typed, type="file")]
