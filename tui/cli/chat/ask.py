"""`discern ask`: ask one question, for example from a pipe; print the reply as text, JSON or events."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tui.cli.completion_values import threads
from tui.cli.shared_options import (
    as_json,
    model_option,
    open_home,
    print_json,
    refuse_contradiction,
    step,
)
from tui.terminal.printing import echo
from tui.terminal.signals import on_signals

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from agent.chat.graph import ChatEvent, Finished

SETTLING = 3.0
"""Maximum wait for the vector index in seconds; after that, keyword search only."""
MAX_PIPED_CHARACTERS = 1 << 24
"""Maximum number of characters read from a pipe: more than fits into any model's context."""


@click.command(
    epilog="""\b
Examples:
  discern ask "What is 2 + 3?"
  discern ask --thread work "And the week after?"
  git diff | discern ask "Review this." --json | jq -r .reply
  discern ask "Tell me about Rome." --stream | jq -j 'select(.event == "delta").text'
\b
--stream prints one JSON object per line:
  {"event": "recalled", "recalled": [...]}   the differences in the context
  {"event": "thought", "text": "..."}        a piece of the reasoning of a thinking model
  {"event": "delta", "text": "..."}          a piece of the reply
  {"event": "done", "reply": "...", ...}     the saved turn, as printed by --json
Ctrl-C stops the reply and keeps the part so far; the exit code is then 130 (143 after SIGTERM).
"""
)
@click.argument("words", nargs=-1)
@click.option(
    "--thread",
    metavar="NAME",
    help="Ask in this thread; by default in a new one.",
    shell_complete=threads,
)
@click.option("-c", "--continue", "go_on", is_flag=True, help="Ask in the last thread.")
@click.option("--no-recall", is_flag=True, help="Do not recall past differences.")
@click.option("--no-adapter", is_flag=True, help="Use the base model only.")
@model_option
@as_json
@click.option("--stream", is_flag=True, help="Print JSON Lines while the reply is generated.")
def ask(
    words: tuple[str, ...],
    thread: str | None,
    go_on: bool,
    no_recall: bool,
    no_adapter: bool,
    model: str | None,
    as_json: bool,
    stream: bool,
) -> int:
    """Ask one question and print the reply. Piped text is added to the question.

    Text that does not fit into the model's context is rejected, not truncated: a review of half a
    text would look like a review of the whole.
    """
    from agent.chat.chat import Chat
    from tui.commands.registry import parse

    refuse_contradiction(thread, go_on)
    question = _question(words)
    typed = parse(question.strip())
    if typed and typed.command and typed.command.name == "diff":
        raise click.UsageError(
            "`discern ask` only asks; to mark a reply, use `discern mark` or /diff in the chat"
        )
    home, settings = open_home(model)
    with ExitStack() as stack:
        stack.callback(step, "")
        chat = stack.enter_context(
            Chat.open(
                home,
                settings,
                thread=thread,
                new=not thread and not go_on,
                use_adapter=not no_adapter,
                on_step=lambda doing: step(str(doing)),
            )
        )
        if no_recall:
            chat.recalling = False
        else:
            # A single question is worth a wait that a chat would not notice.
            step("opening the index")
            chat.memory.settle(timeout=SETTLING)
        if go_on:
            _report_continued_elsewhere(chat)
        step("thinking")
        stopped = stack.enter_context(_stopping_on_signals(chat.stop))
        events = stack.enter_context(closing(chat.say(question)))
        finished = (_as_events if stream else _as_document if as_json else _as_text)(chat, events)
        for notice in map(str, chat.notices):
            echo(f"discern: {notice[:1].lower()}{notice[1:]}", err=True)
        if stopped:
            said = (
                "the partial reply is kept" if finished.turn.replied else "there was no reply yet"
            )
            echo(f"discern: stopped; {said}", err=True)
            return 128 + stopped[0]
    return 0


def _report_continued_elsewhere(chat: Chat) -> None:
    """Say which reply the question follows, if another session has just added it."""
    from agent.chat.marking.target_reply import seconds_since_elsewhere, shortened

    turn = next(iter(chat.thread.turns()[-1:]), None)
    seconds = None if turn is None else seconds_since_elsewhere(chat.journal, turn)
    if turn is not None and seconds is not None:
        step("")
        echo(
            f"discern: another session continued the thread {turn.thread!r} {seconds:.0f} s ago; your "
            f"question follows “{shortened(turn.asked)}”",
            err=True,
        )


def _question(words: tuple[str, ...]) -> str:
    question = " ".join(words)
    if not sys.stdin.isatty():
        try:
            piped = _piped()
        except UnicodeError as error:
            raise click.UsageError("the piped input is not UTF-8 text") from error
        if "\0" in piped:
            raise click.UsageError("the piped input is not text: it contains null bytes")
        if len(piped) > MAX_PIPED_CHARACTERS:
            raise click.UsageError(
                f"the piped input is longer than {MAX_PIPED_CHARACTERS:,} characters, more than a "
                "model can read; pipe less text"
            )
        question = "\n\n".join(
            part for part in (question, piped.removesuffix("\n")) if part.strip()
        )
    if not question.strip():
        raise click.UsageError('no question given; run `discern ask "…"` or pipe text into it')
    return question


def _piped() -> str:
    """Return the piped text with its line endings unchanged.

    Raises:
        UnicodeError: The input is not UTF-8.
    """
    if not isinstance(sys.stdin, io.TextIOWrapper):
        return sys.stdin.read(MAX_PIPED_CHARACTERS + 1)
    # sys.stdin would translate line endings, and can be reconfigured only once.
    unchanged = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="")
    try:
        return unchanged.read(MAX_PIPED_CHARACTERS + 1)
    finally:
        unchanged.detach()


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Stop on signals and yield the list of them; a second Ctrl-C exits immediately."""
    signals: list[int] = []

    def end(number: int) -> None:
        if signals and number == signal.SIGINT:
            raise KeyboardInterrupt
        signals.append(number)
        stop()

    with on_signals(end, signal.SIGINT):
        yield signals


def _as_text(chat: Chat, events: Iterator[ChatEvent]) -> Finished:
    """Print the reply as it is generated, without control characters."""
    from agent.chat.graph import Delta, Finished
    from tui.terminal.sanitize import StreamCleaner

    cleaner = StreamCleaner()
    for event in events:
        if isinstance(event, Delta):
            step("")
            echo(cleaner.feed(event.text), nl=False)
        elif isinstance(event, Finished):
            step("")
            echo(cleaner.finish())
            done = event
    return done


def _as_document(chat: Chat, events: Iterator[ChatEvent]) -> Finished:
    """Print one document when the reply is complete."""
    from agent.chat.graph import Finished, Recalling

    recalled: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, Recalling):
            recalled = _recalled(event.items)
        elif isinstance(event, Finished):
            step("")
            print_json(_document(chat, event, recalled))
            done = event
    return done


def _as_events(chat: Chat, events: Iterator[ChatEvent]) -> Finished:
    """Print one line per event."""
    from agent.chat.graph import Delta, Finished, Recalling, Thought

    recalled: list[dict[str, Any]] = []
    for event in events:
        step("")
        if isinstance(event, Recalling):
            recalled = _recalled(event.items)
            print_json({"event": "recalled", "recalled": recalled})
        elif isinstance(event, Thought | Delta):
            name = "delta" if isinstance(event, Delta) else "thought"
            print_json({"event": name, "text": event.text})
        elif isinstance(event, Finished):
            print_json({"event": "done", **_document(chat, event, recalled)})
            done = event
    return done


def _recalled(items: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": item.difference.id,
            "score": item.score,
            "asked": item.difference.asked,
            "sounds": item.difference.contrast.sounds,
        }
        for item in items
    ]


def _document(chat: Chat, event: Finished, recalled: list[dict[str, Any]]) -> dict[str, Any]:
    return {
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
