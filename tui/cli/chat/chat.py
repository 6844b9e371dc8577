"""`discern chat`, `discern setup`, `discern mark`."""

from __future__ import annotations

import dataclasses
import os
import sys

import click

from tui.cli.completion_values import kinds, turns
from tui.cli.shared_options import (
    MomentName,
    as_json,
    condition_option,
    continue_option,
    model_option,
    open_home,
    print_json,
    refuse_contradiction,
    rule_option,
    scope_option,
    thread_option,
)
from tui.terminal.printing import echo


@click.command(
    epilog="""\b
Examples:
  discern chat                   continue the last thread
  discern chat --thread work     continue another thread, or start it
  discern chat --new --model ~/models/other.gguf
"""
)
@thread_option
@continue_option
@click.option("--new", is_flag=True, help="Start a new thread.")
@model_option
def chat(thread: str | None, go_on: bool, new: bool, model: str | None) -> int:
    """Open the chat. The first time, it asks for the model and when to train."""
    from tui.app import run_chat
    from tui.setup.setup import is_first_start

    refuse_contradiction(thread, go_on, new)
    home, settings = open_home(model)
    in_a_tab = os.environ.get("TEXTUAL_DRIVER", "").startswith("tui.web.")
    if not (in_a_tab or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise click.UsageError("the chat needs a terminal; use `discern ask` in scripts")
    asked_for = bool(thread or go_on or new or model)  # no questions if the user says what to open
    setup = not asked_for and is_first_start(home)
    return run_chat(home, settings, thread=thread, new=new, setup=setup)


@click.command(epilog="\b\nExamples:\n  discern setup")
def setup() -> int:
    """Choose the model and when to train, then open the chat.

    In scripts, use `discern model use`, `discern night install` and config.toml instead.
    """
    from tui.app import run_chat

    home, settings = open_home()
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            "the setup needs a terminal; use `discern model use` and config.toml in scripts"
        )
    return run_chat(home, settings, setup=True)


@click.command(
    epilog="""\b
Examples:
  discern mark --moment error --expected "The capital of Australia is Canberra."
  discern mark --moment surprise --kind tactical/length --note "too long" --turn 3fa9
  discern mark --moment surprise --scope everywhere --rule "at most 40 words"
"""
)
@click.option(
    "--moment",
    type=MomentName(),
    required=True,
    help="Why you mark it: it is wrong (error), unexpected (surprise), or good (hold).",
)
@click.option(
    "--kind",
    metavar="K",
    shell_complete=kinds,
    help="The kind of difference (`discern memory kinds` lists them).",
)
@click.option("--note", metavar="T", help="A free note.")
@click.option("--missed", metavar="T", help="What it got wrong.")
@click.option("--lost", metavar="T", help="What it left out.")
@click.option("--expected", metavar="T", help="The better answer.")
@scope_option
@condition_option
@rule_option
@click.option("--quote", metavar="T", help="The part of the reply you mean, word for word.")
@click.option(
    "--turn",
    metavar="ID",
    shell_complete=turns,
    help="The turn to mark; by default the last reply.",
)
@click.option("--last", is_flag=True, help="The last reply, even if it is from another session.")
@as_json
def mark(
    moment: str,
    kind: str | None,
    note: str | None,
    missed: str | None,
    lost: str | None,
    expected: str | None,
    scope: str | None,
    condition: str | None,
    rules: str | None,
    quote: str | None,
    turn: str | None,
    last: bool,
    as_json: bool,
) -> None:
    """Mark a reply. The difference is recalled at once and trained on at night."""
    from agent.chat.marking.receipt import engine_to_count, receipt, too_long
    from agent.chat.marking.target_reply import last_turn, require_spoken_here
    from memory.mark_validation import MarkRequest
    from memory.memory import Memory

    if turn and last:
        raise click.UsageError("--turn and --last are mutually exclusive")
    home, settings = open_home()
    # Only the journal is written: the next chat updates the index.
    with Memory.open(home, settings, dense=False) as memory:
        marked = last_turn(memory.journal, turn=turn)
        if not (turn or last):
            require_spoken_here(memory.journal, marked)
        request = MarkRequest(
            moment,
            kind=kind,
            note=note,
            missed=missed,
            lost=lost,
            sounds=expected,
            quote=quote,
            scope=scope,
            condition=condition,
            rules=rules,
            system=settings.chat.system,
        )
        difference = memory.mark(marked, request)
        if as_json:
            replaced = [
                item.id
                for item in memory.journal.differences.on_turns([marked.id])
                if item.superseded_by == difference.id
            ]
            with engine_to_count(difference, settings) as engine:
                reason = too_long(difference, engine)
            facts = {
                "untaught": difference.untaught,
                "too_long": reason or None,
                "replaces": replaced,
            }
            print_json(dataclasses.asdict(difference) | facts)
        else:
            with engine_to_count(difference, settings) as engine:
                said = receipt(memory.journal, difference, settings, typed=False, engine=engine)
            echo(said)
