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

Pairs = Iterable[tuple[str, str]]
Completer = Callable[["click.Context", "click.Parameter", str], list[CompletionItem]]


def _completer(pairs: Callable[[Home], Pairs]) -> Completer:
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


def _query(name: str) -> Callable[[Home], Pairs]:
    """Return a function of `completion_queries`, which is imported when it is called."""

    def pairs(home: Home) -> Pairs:
        from tui.cli import completion_queries

        found: Pairs = getattr(completion_queries, name)(home)
        return found

    return pairs


def _sides(home: Home) -> Pairs:
    from tui.cli import completion_queries

    yield "base", "the base model alone"
    yield "base+recall", "the base model with recall"
    yield "current", "the current adapter"
    yield from completion_queries.adapters(home)


def _local_models(home: Home) -> Pairs:
    from agent.models.models import find_models

    yield "starter", "included with Discern"
    for item in find_models(home):
        yield item.name, f"{item.size / 1e6:,.0f} MB"


def _known_models(_home: Home) -> Pairs:
    from agent.models.models import known_models

    for item in known_models():
        yield item.name, f"{item.repo}, {', '.join(item.files)}"


threads = _completer(_query("threads"))
differences = _completer(_query("differences"))
turns = _completer(_query("turns"))
adapters = _completer(_query("adapters"))
sides = _completer(_sides)
kinds = _completer(_query("kinds"))
runs = _completer(_query("runs"))
models_here = _completer(_local_models)
models_known = _completer(_known_models)


def model_files(
    _context: click.Context, _parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Let the shell complete a path."""
    return [CompletionItem(typed, type="file")]
