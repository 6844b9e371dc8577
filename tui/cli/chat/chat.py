"""`discern chat`, `discern setup`, `discern mark`."""

from __future__ import annotations

import dataclasses
import os
import sys

import click

from tui.cli.completion_values import kinds, threads, turns
from tui.cli.shared_options import (
    MomentName,
    as_json,
    model_option,
    open_home,
    print_json,
    refuse_contradiction,
)
from tui.terminal.printing import echo


@click.command(
    epilog="""\b
Examples:
  discern chat                   go on in the last thread
  discern chat --thread work     go on in another, or begin it
  discern chat --new --model ~/models/other.gguf
"""
)
@click.option(
    "--thread",
    metavar="NAME",
    help="Open this thread instead of the last one.",
    shell_complete=threads,
)
@click.option("-c", "--continue", "go_on", is_flag=True, help="Go on in the last thread.")
@click.option("--new", is_flag=True, help="Begin a new thread.")
@model_option
def chat(thread: str | None, go_on: bool, new: bool, model: str | None) -> int:
    """Open the chat; the first time it asks which model talks and when it learns."""
    from tui.app import run_chat
    from tui.setup.setup import is_first_start

    refuse_contradiction(thread, go_on, new)
    home, settings = open_home(model)
    in_a_tab = os.environ.get("TEXTUAL_DRIVER", "").startswith("tui.web.")
    if not (in_a_tab or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise click.UsageError("the chat needs a terminal; in scripts use `discern ask`")
    asked_for = bool(
        thread or go_on or new or model
    )  # who says what to open wants no questions before it
    setup = not asked_for and is_first_start(home)
    return run_chat(home, settings, thread=thread, new=new, setup=setup)


@click.command(epilog="\b\nExamples:\n  discern setup")
def setup() -> int:
    """Ask again which model talks and when it learns, then open the chat.

    In scripts `discern model use`, `discern night install` and config.toml do the same.
    """
    from tui.app import run_chat

    home, settings = open_home()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "the questions need a terminal; in scripts use `discern model use` and config.toml"
        )
    return run_chat(home, settings, setup=True)


@click.command(
    epilog="""\b
Examples:
  discern mark --moment error --expected "The capital of Australia is Canberra."
  discern mark --moment surprise --kind tactical/length --note "too long" --turn 3fa9
"""
)
@click.option(
    "--moment",
    type=MomentName(),
    required=True,
    help="Why it is marked: it is wrong, it broke expectation, or it held the difference well.",
)
@click.option(
    "--kind",
    metavar="K",
    shell_complete=kinds,
    help="One of the thirty kinds (`discern memory kinds`).",
)
@click.option("--note", metavar="T", help="Anything worth remembering about it.")
@click.option("--missed", metavar="T", help="What was not distinguished.")
@click.option("--lost", metavar="T", help="What was not held.")
@click.option("--expected", metavar="T", help="How it should have sounded.")
@click.option("--quote", metavar="T", help="The part of the reply that it is about, word for word.")
@click.option(
    "--turn", metavar="ID", shell_complete=turns, help="The turn to mark; default: the last reply."
)
@click.option("--last", is_flag=True, help="The last reply, even if another session spoke it.")
@as_json
def mark(
    moment: str,
    kind: str | None,
    note: str | None,
    missed: str | None,
    lost: str | None,
    expected: str | None,
    quote: str | None,
    turn: str | None,
    last: bool,
    as_json: bool,
) -> None:
    """Mark a reply as a difference; it is recalled at once and trained at night."""
    from agent.chat.marking import last_turn, receipt, require_spoken_here
    from memory.memory import Memory

    if turn and last:
        raise click.UsageError("take one of --turn and --last: each names a reply")
    home, settings = open_home()
    # The journal alone: the next chat brings the index up to date.
    with Memory.open(home, settings, dense=False) as memory:
        marked = last_turn(memory.journal, turn=turn)
        if not (turn or last):
            require_spoken_here(memory.journal, marked)
        difference = memory.mark(
            marked,
            moment,
            kind=kind,
            note=note,
            missed=missed,
            lost=lost,
            sounds=expected,
            quote=quote,
            system=settings.chat.system,
        )
        if as_json:
            replaced = [
                item.id
                for item in memory.journal.of_turns([marked.id])
                if item.superseded_by == difference.id
            ]
            facts = {"untaught": difference.untaught, "replaces": replaced}
            print_json(dataclasses.asdict(difference) | facts)
        else:
            echo(receipt(memory.journal, difference, settings, typed=False))
