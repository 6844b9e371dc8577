"""`discern memory search, why, suggest`: what is recalled, and which replies may need a mark."""

from __future__ import annotations

import click

from tui.cli.completion_values import turns
from tui.cli.shared_options import as_json, limit_option, open_home, print_json, step, step_bar
from tui.terminal.printing import echo

MOST_TURNS = 5000
"""Number of latest turns that `suggest` reads."""


@click.command(
    epilog="""\b
Examples:
  discern memory search "what is the capital of Zubrowka"
  discern memory search "длина ответа" --limit 3 --json
"""
)
@click.argument("text")
@limit_option
@as_json
def search(text: str, limit: int, as_json: bool) -> None:
    """Show what would be recalled for TEXT, ranked by relevance."""
    from agent.models.served_model import embedder
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    bar = step_bar("indexing")
    with Memory.open(home, settings, embedder=embedder(settings), progress=bar) as memory:
        step("")
        found = memory.search(text, limit=limit)
        by_words = memory.notice
    floor = settings.recall.floor
    if as_json:
        print_json(
            [
                {
                    "id": item.difference.id,
                    "score": item.score,
                    "recalled": item.score >= floor,
                    "matched": item.matched,
                    "pinned": item.difference.pinned,
                    "by_words_alone": by_words is not None,
                    "asked": item.difference.asked,
                    "sounds": item.difference.contrast.sounds,
                }
                for item in found
            ]
        )
        return
    for item in found:
        sign = "◆" if item.score >= floor else "·"
        echo(
            f"{sign} {item.score:.2f}  {item.difference.id[:8]}  "
            f"{one_line(item.difference.asked, 50)}  [{one_line(' '.join(item.matched), 60)}]"
        )
    echo(
        f"◆ relevant enough to be recalled ({floor} or more)"
        if found
        else "Nothing relevant found."
    )
    if by_words:
        echo(f"Keyword search only: {by_words}.")


@click.command(
    epilog="""\b
Examples:
  discern memory why                   the last reply
  discern memory why 3fa9 --json       the turn of that id (`discern ask --json` prints it)
"""
)
@click.argument("turn", metavar="[TURN]", required=False, shell_complete=turns)
@as_json
def why(turn: str | None, as_json: bool) -> None:
    """Show what was recalled for a turn, by default the last one.

    Prints the relevance, the date and the matching words.
    """
    from agent.adapters import learned_at
    from agent.chat.marking.target_reply import last_turn
    from agent.chat.why_recalled import trace_recall
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line
    from tui.views.error_text import full_sentence

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        asked = memory.journal.turns.get(turn) if turn else last_turn(memory.journal)
        answer = trace_recall(memory, asked, learned_at(home.adapters, asked))
    if as_json:
        print_json(
            {
                "turn": asked.id,
                "asked": asked.asked,
                "recalled": [
                    {
                        "id": part.difference.id,
                        "score": part.score,
                        "matched": part.matched,
                        "rules": [{"rule": rule.line, "kept": rule.kept} for rule in part.rules],
                        "at": part.difference.at,
                        "pinned": part.difference.pinned,
                        "asked": part.difference.asked,
                        "sounds": part.difference.contrast.sounds,
                    }
                    for part in answer.recalled
                ],
                "forgotten": answer.forgotten,
                "aside": answer.note or None,
            }
        )
        return
    echo(f"For “{one_line(asked.asked, 60)}” ({asked.id[:8]}):")
    for part in answer.recalled:
        item = part.difference
        score = f"{part.score:.2f}" if part.score is not None else "?"
        echo(
            f"◆ {score}  {item.id[:8]} {'⚑' if item.pinned else ' '} "
            f"{item.at.astimezone():%Y-%m-%d}  {one_line(item.asked, 44)}  "
            f"[{one_line(' '.join(part.matched), 40)}]"
        )
        for rule in part.rules:
            echo(f"    {'✓' if rule.kept else '✗'} {rule.line}")
    if answer.note:
        echo(full_sentence(answer.note))
    if answer.recalled:
        echo("`discern memory pin ID` pins one, `discern memory forget ID` deletes it.")
    elif not answer.note:
        echo("Nothing was recalled.")


@click.command(epilog="\b\nExamples:\n  discern memory suggest\n  discern memory suggest --json")
@limit_option
@as_json
def suggest(limit: int, as_json: bool) -> None:
    """Suggest replies that may be worth marking.

    Nothing is marked automatically.

    Suggests predictable replies followed by a message the model did not expect, and replies with a
    word that the model itself considered very unlikely. Both are measured against your own median.
    """
    from agent.chat.surprise import suggest as find
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        found = find(
            memory.journal.turns.latest(limit=MOST_TURNS),
            memory.journal.differences.all(),
        )[-limit:]
    if as_json:
        print_json(
            [
                {
                    "turn": item.turn.id,
                    "at": item.turn.at,
                    "reason": item.reason,
                    "score": item.score,
                    "reply_nats": item.reply,
                    "answer_nats": item.answer,
                    "asked": item.turn.asked,
                    "replied": item.turn.replied,
                }
                for item in found
            ]
        )
        return
    for item in found:
        echo(f"{item.turn.id[:8]}  {item.turn.at.astimezone():%Y-%m-%d %H:%M}  {item.reason}.")
        echo(f"          message {one_line(item.turn.asked, 64)}")
        echo(f"          reply   {one_line(item.turn.replied, 64)}")
    if found:
        echo(f"To mark a reply: discern mark --moment surprise --turn {found[-1].turn.id[:8]}")
    else:
        echo("No suggestions. Discern needs more turns to learn what is usual for you.")


COMMANDS = (search, why, suggest)
