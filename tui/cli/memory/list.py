"""`discern memory list, show, history, kinds`: view marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from memory.difference import SCOPE_LABELS, MarkScope
from memory.text.counts import counted
from tui.cli.completion_values import kinds as kinds_offered
from tui.cli.shared_options import (
    as_json,
    difference_argument,
    open_home,
    print_json,
)
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from memory.difference import Difference


@click.command(
    "list",
    epilog="""\b
Examples:
  discern memory list --kind tactical --since 2026-11-01
  discern memory list --text zubrowka --json
""",
)
@click.option(
    "--kind",
    metavar="K",
    shell_complete=kinds_offered,
    help="Only this kind or family (`discern memory kinds` lists them).",
)
@click.option(
    "--state",
    type=click.Choice(["waiting", "bare", "trained", "failing", "pinned", "superseded"]),
    help="Only marks in this state.",
)
@click.option("--text", metavar="T", help="Only marks that contain this text, ignoring case.")
@click.option(
    "--since",
    metavar="DAY",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Only marks made since this day.",
)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Only the latest N.")
@as_json
def list_differences(
    kind: str | None,
    state: str | None,
    text: str | None,
    since: Any,
    limit: int | None,
    as_json: bool,
) -> None:
    """List marks, oldest first."""
    from memory.kinds import require_kind
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    wanted = require_kind(kind).name if kind else None
    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        everything = memory.journal.differences.all()
    found = [
        item
        for item in everything
        if (wanted is None or item.kind == wanted or (item.kind or "").startswith(f"{wanted}/"))
        and (state is None or state in state_names(item))
        and (text is None or text.casefold() in "\n".join(words(item).values()).casefold())
        and (since is None or item.at.astimezone() >= since.astimezone())
    ]
    if limit:
        found = found[-limit:]
    if as_json:
        print_json(found)
        return
    for item in found:
        sounds = item.wanted or "(no better answer yet)"
        if item.scope is not MarkScope.HERE:
            sounds = f"(for {SCOPE_LABELS[item.scope]}) {sounds}"
        state_shown = "superseded" if item.superseded_by else item.state
        echo(
            f"{item.id[:8]} {'⚑' if item.pinned else ' '} {item.at.astimezone():%Y-%m-%d}  "
            f"{item.moment:8} {state_shown:8} "
            f"{one_line(item.asked, 34)} => {one_line(sounds, 34)}"
        )
    if not everything:
        echo("No marks yet. Mark a reply with /diff in the chat or with `discern mark`.")
    elif not found:
        echo(f"No marks match ({len(everything)} in total).")


def state_names(item: Difference) -> set[str]:
    """Return the names of all states of a difference."""
    found = {"superseded"} if item.superseded_by else {item.state.value}
    return found | ({"pinned"} if item.pinned else set())


def words(item: Difference) -> dict[str, str]:
    """Return the non-empty texts of a difference by name."""
    from memory.reply_rules import rules_of

    named = {
        "asked": item.asked,
        "answered": item.replied,
        "about": item.span.quote if item.span else None,
        "missed": item.contrast.missed,
        "lost": item.contrast.lost,
        "sounds": item.contrast.sounds,
        "note": item.note,
        "when": item.condition,
        "rules": "; ".join(map(str, rules_of(item))),
    }
    return {name: text for name, text in named.items() if text}


@click.command(
    epilog="\b\nExamples:\n  discern memory show 3fa9\n  discern memory show 3fa9 --json"
)
@difference_argument
@as_json
def show(identity: str, as_json: bool) -> None:
    """Show one mark in full.

    Prints its text, versions, uses, and the adapters trained on it.
    """
    from agent.forget.residual_copies import find_residual_copies
    from memory.memory import Memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.journal.differences.get(identity)
        known = find_residual_copies(home, memory.journal, item)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(item), "adapters": known.adapters})
        return
    kind = f" ({item.kind})" if item.kind else ""
    states = ", ".join(sorted(state_names(item)))
    spoke = f"{item.model}{f' with adapter {item.adapter[:8]}' if item.adapter else ''}"
    nats = [("reply", item.surprisal), ("next message", item.next_surprisal)]
    facts = {
        "id": item.id,
        "marked": f"{item.at.astimezone():%Y-%m-%d %H:%M} in "
        + (f"thread {item.thread}" if item.thread else "a deleted thread"),
        "moment": f"{item.moment}{kind}, {states}",
        "scope": "" if item.scope is MarkScope.HERE else f"for {SCOPE_LABELS[item.scope]}",
        **words(item),
        "spoke": spoke,
        "surprise": ", ".join(
            f"{name} {x:.2f} nats per token" for name, x in nats if x is not None
        ),
        "version": f"{item.version}, edited {item.edited.astimezone():%Y-%m-%d %H:%M}"
        if item.edited
        else "",
        "replaced": f"by {item.superseded_by[:8]}" if item.superseded_by else "",
        "recalled": f"for {counted(item.recalled, 'turn')}",
        "trained": "into adapter " + ", ".join(name[:8] for name in known.adapters)
        if known.adapters
        else "",
    }
    print_facts(facts)


def print_facts(facts: dict[str, str]) -> None:
    """Print names and texts, one per line; skip empty ones."""
    from tui.terminal.sanitize import clean

    for name, text in facts.items():
        if text:
            echo(f"{name:>9}  " + clean(text).replace("\n", "\n" + " " * 11))


@click.command(epilog="\b\nExamples:\n  discern memory history 3fa9")
@difference_argument
@as_json
def history(identity: str, as_json: bool) -> None:
    """Show all versions of a mark, oldest first."""
    from memory.memory import Memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        versions = memory.history(identity)
    if as_json:
        print_json(versions)
        return
    before: dict[str, str] = {}
    for item in versions:
        when = (item.edited or item.at).astimezone()
        named = {"moment": item.moment.value, "kind": item.kind or "", **words(item)}
        changed = {name: text for name, text in named.items() if before.get(name) != text}
        gone = {name: "(cleared)" for name in before if name not in named}
        print_facts({"version": f"{item.version}, {when:%Y-%m-%d %H:%M}", **changed, **gone})
        before = named


@click.command(
    epilog="""\b
Examples:
  discern memory kinds                 all kinds, one per line
  discern memory kinds tone            one kind with its question and an example
"""
)
@click.argument("name", required=False)
@as_json
def kinds(name: str | None, as_json: bool) -> None:
    """List the kinds of difference, or show one in full.

    There are thirty built-in kinds; add your own in `kinds.toml`.
    """
    from memory.kinds import kinds as all_kinds
    from memory.kinds import require_kind
    from tui.terminal.sanitize import one_line

    if name is not None:
        kind = require_kind(name)
        if as_json:
            print_json(kind)
            return
        print_facts(
            {
                "kind": f"{kind.name} ({kind.russian})",
                "shows": kind.shows,
                "asks": kind.ask,
                "instead": " → ".join(kind.example),
                "что": kind.russian_shows,
                "вопрос": kind.russian_ask,
                "пример": " → ".join(kind.russian_example),
            }
        )
        return
    found = all_kinds()
    if as_json:
        print_json(list(found.values()))
        return
    for kind in found.values():
        indent = "  " if kind.type else ""
        label, russian = one_line(kind.type or kind.family), one_line(kind.russian)
        echo(f"{indent}{label:<14}{russian:<18}{one_line(kind.shows)}")


COMMANDS = (list_differences, show, history, kinds)
