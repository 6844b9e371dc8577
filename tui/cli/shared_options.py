"""Options and helpers shared by several commands."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from memory.sentence import Sentence
from tui.cli.completion_values import differences, model_files, threads
from tui.terminal.printing import Safe, echo
from tui.terminal.sanitize import one_line

if TYPE_CHECKING:
    from memory.settings.paths import Home
    from memory.settings.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_option = click.option(
    "--model", metavar="PATH", help="Use this GGUF for this command.", shell_complete=model_files
)
thread_option = click.option(
    "--thread",
    metavar="NAME",
    help="Open this thread instead of the last one.",
    shell_complete=threads,
)
continue_option = click.option(
    "-c", "--continue", "go_on", is_flag=True, help="Continue the last thread."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
difference_argument = click.argument("identity", metavar="ID", shell_complete=differences)
scope_option = click.option(
    "--scope",
    type=click.Choice(["here", "topic", "when", "everywhere"]),
    help="Which replies it is about: to this question, on its subject, or every one.",
)
condition_option = click.option(
    "--when", "condition", metavar="T", help="It is about replies for which this holds."
)
rule_option = click.option(
    "--rule",
    "rules",
    metavar="T",
    multiple=True,
    callback=lambda _context, _option, lines: "\n".join(lines) if lines else None,
    help='What replies must keep, such as "at most 40 words"; may be given again.',
)
limit_option = click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of results.",
)


class MomentName(click.Choice):  # type: ignore[type-arg]
    """The name of a moment, with a suggestion for a misspelled one."""

    def __init__(self) -> None:
        super().__init__(["error", "surprise", "hold"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the English name."""
        from memory.moments import find_moment, nearest_moment

        if moment := find_moment(str(value)):
            return moment.value
        known = ", ".join(map(repr, self.choices))
        near = nearest_moment(str(value))
        hint = f"; did you mean {near}?" if near else "."
        self.fail(f"{value!r} is not one of {known}{hint}", param, ctx)


def refuse_contradiction(thread: str | None, go_on: bool, new: bool = False) -> None:
    """Reject contradictory options for the thread."""
    if sum((bool(thread), go_on, new)) > 1:
        raise click.UsageError("--thread, --continue and --new are mutually exclusive")


def open_home(model: str | None = None) -> tuple[Home, Settings]:
    """Return the user's home and settings; `model` overrides the configured model."""
    from memory.i18n import interface_language
    from memory.journal.tables.exported_copies import sweep_home
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    home = Home.locate()
    sweep_home(home)
    settings = read_settings(home, {"model": {"path": model}} if model else None)
    interface_language.use(settings.ui.language)
    return home, settings


def print_json(value: Any) -> None:
    """Print one JSON document on one line."""
    from memory.transfer.export_schema import escape_unseen

    text = json.dumps(value, default=plain_value, ensure_ascii=False)
    echo(Safe(escape_unseen(text)))


def plain_value(value: Any) -> Any:
    """Convert a dataclass, sentence, time or path for JSON."""
    if isinstance(value, Sentence):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show `text` on the status line while the block runs."""
    step(text)
    try:
        yield
    finally:
        step("")


def step_bar(label: str) -> Callable[[int, int], None]:
    """Return a function (done, total) that draws a progress bar on stderr, if it is a terminal."""
    from tui.training.progress import bar

    def draw(done: int, total: int) -> None:
        share = done / total if total else 1.0
        step(f"{label} {bar(share, 24)} {done:,}/{total:,}" if done < total else "")

    return draw


def step(text: str) -> None:
    """Show `text` on one transient line of stderr, if it is a terminal."""
    if sys.stderr.isatty():
        echo(Safe("\r\x1b[K"), one_line(text), err=True, nl=False, color=True)


def report_signal(error: Exception, signals: list[int]) -> int:
    """Print the error of a run that a signal ended and return the exit code; raise any other error."""
    if not signals:
        raise error
    step("")
    echo(f"discern: {error}", err=True)
    return 128 + signals[0]
