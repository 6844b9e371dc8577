"""`discern chat`, `discern ask`, `discern mark`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from typing import Any

import click

from tui.verbs.shared_options import as_json, model_option, open_home, print_json, step

SETTLING = 3.0
"""Seconds that one question waits for the index of vectors at most; then recall goes by words."""


@click.command()
@click.option("--thread", metavar="NAME", help="Open this thread instead of the last one.")
@click.option("--new", is_flag=True, help="Begin a new thread.")
@model_option
def chat(thread: str | None, new: bool, model: str | None) -> int:
    """Open the chat; the first time it asks which model talks and when it learns."""
    from tui.app import run_chat
    from tui.setup import is_first_start

    home, settings = open_home(model)
    in_a_tab = os.environ.get("TEXTUAL_DRIVER", "").startswith("tui.web.")
    if not (in_a_tab or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise click.UsageError("the chat needs a terminal; in scripts use `discern ask`")
    asked_for = bool(thread or new or model)  # who says what to open wants no questions before it
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
  discern ask "What is 2 + 3?"
  discern ask --thread work "And the week after?"
  git diff | discern ask "Review this." --json
"""
)
@click.argument("words", nargs=-1)
@click.option("--thread", metavar="NAME", help="Ask within this thread; default: a new one.")
@click.option("-c", "--continue", "go_on", is_flag=True, help="Ask within the last thread.")
@click.option("--no-recall", is_flag=True, help="Put no past differences into the context.")
@click.option("--no-adapter", is_flag=True, help="Let the base model answer.")
@model_option
@as_json
def ask(
    words: tuple[str, ...],
    thread: str | None,
    go_on: bool,
    no_recall: bool,
    no_adapter: bool,
    model: str | None,
    as_json: bool,
) -> None:
    """Ask one question and print the reply; text that is piped in is added to it."""
    from agent.chat import Chat
    from agent.graph import Delta, Finished, Recalling
    from tui.text import StreamCleaner

    question = " ".join(words)
    if not sys.stdin.isatty() and (piped := sys.stdin.read().strip()):
        question = f"{question}\n\n{piped}".strip()
    if not question.strip():
        raise click.UsageError('nothing to ask; write `discern ask "…"` or pipe text into it')
    home, settings = open_home(model)
    with ExitStack() as stack:
        chat = stack.enter_context(
            Chat.open(
                home,
                settings,
                thread=thread,
                new=not thread and not go_on,
                use_adapter=not no_adapter,
                on_step=step,
            )
        )
        if no_recall:
            chat.recalling = False
        else:
            # One question alone: it is worth the wait that a chat does not notice.
            chat.memory.settle(timeout=SETTLING)
        step("")
        recalled: list[dict[str, Any]] = []
        cleaner = StreamCleaner()
        for event in stack.enter_context(closing(chat.say(question))):
            if isinstance(event, Recalling):
                recalled = [
                    {
                        "id": item.difference.id,
                        "score": item.score,
                        "asked": item.difference.asked,
                        "sounds": item.difference.contrast.sounds,
                    }
                    for item in event.items
                ]
            elif isinstance(event, Delta) and not as_json:
                click.echo(cleaner.feed(event.text), nl=False)
            elif isinstance(event, Finished):
                if not as_json:
                    click.echo(cleaner.finish())
                    continue
                print_json(
                    {
                        "reply": event.turn.replied,
                        "thread": event.turn.thread,
                        "turn": event.turn.id,
                        "recalled": recalled,
                        "by_words_alone": chat.memory.notice is not None,
                        "adapter": event.turn.adapter,
                        "model": event.turn.model,
                        "reason": event.reason,
                        "seconds": round(event.seconds, 3),
                        "surprisal": event.turn.mean_surprisal,
                    }
                )


@click.command(
    epilog="""\b
Examples:
  discern mark --moment error --expected "The capital of Australia is Canberra."
  discern mark --moment surprise --kind tactical/length --note "too long" --turn 3fa9
"""
)
@click.option(
    "--moment",
    type=click.Choice(["error", "surprise", "hold"]),
    required=True,
    help="Why it is marked: it is wrong, it broke expectation, or it held the difference well.",
)
@click.option("--kind", metavar="K", help="One of the thirty kinds (`discern memory kinds`).")
@click.option("--note", metavar="T", help="Anything worth remembering about it.")
@click.option("--missed", metavar="T", help="What was not distinguished.")
@click.option("--lost", metavar="T", help="What was not held.")
@click.option("--expected", metavar="T", help="How it should have sounded.")
@click.option("--quote", metavar="T", help="The part of the reply that it is about, word for word.")
@click.option("--turn", metavar="ID", help="The turn to mark; default: the last reply.")
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
    as_json: bool,
) -> None:
    """Mark a reply as a difference; it is recalled at once and trained at night."""
    from agent.marking import last_turn, receipt
    from memory.memory import Memory

    home, settings = open_home()
    # The journal alone: the next chat brings the index up to date.
    with Memory.open(home, settings, dense=False) as memory:
        marked = memory.journal.turn(turn) if turn else last_turn(memory.journal)
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
            print_json(difference)
        else:
            click.echo(receipt(difference, settings))
