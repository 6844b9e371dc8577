"""`discern compare A B`: compare two configurations side by side, optionally blind."""

from __future__ import annotations

import random
import shutil
import textwrap
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tui.cli.completion_values import sides as sides_offered
from tui.cli.shared_options import as_json, model_option, open_home, print_json, step, working
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from trainer.evaluate.compare import Pair, Side

GAP = " │ "


@click.command(
    epilog="""\b
Examples:
  discern compare base current                 what the adapter changed
  discern compare base+recall current          recall compared with training
  discern compare 3f2a 91bc --prompt "Hello!"  two adapters, one question
  discern compare base current --blind         judge without knowing which is which
Without --prompt, asks the questions of your lessons and their held-out rephrasings.
"""
)
@click.argument("a", metavar="A", shell_complete=sides_offered)
@click.argument("b", metavar="B", shell_complete=sides_offered)
@click.option("--prompt", "prompts", multiple=True, help="Ask this prompt; can be repeated.")
@click.option(
    "--recall",
    type=click.Choice(["on", "off"]),
    default="off",
    help="Recall past differences on both sides (for one side, write base+recall).",
)
@click.option(
    "--blind", is_flag=True, help="Shuffle the columns, ask which is better, then reveal."
)
@model_option
@as_json
def compare(
    a: str,
    b: str,
    prompts: tuple[str, ...],
    recall: str,
    blind: bool,
    model: str | None,
    as_json: bool,
) -> int:
    """Ask A and B the same questions and show the replies side by side.

    A and B are `base`, `current` or the beginning of an adapter id. Append `+recall` to recall past
    differences.
    """
    from agent.llama.engine import Engine
    from agent.models.served_model import served_model
    from memory.errors import NothingToTrainError
    from memory.journal.journal import Journal
    from trainer.adapters.adapter_staleness import entry_of
    from trainer.evaluate import compare as logic

    home, settings = open_home(model)
    path = served_model(settings)
    with working("reading the model"):
        base = entry_of(path, home.prepare())
    both = recall == "on"
    sides = (
        logic.side(home, a, base, recall=both),
        logic.side(home, b, base, recall=both),
    )
    step("loading the model")
    with Engine.open(path, settings.model) as engine, Journal(home.journal) as journal:
        asked = tuple(logic.ComparedPrompt(text) for text in prompts) or logic.questions(
            engine, journal.differences.all(), settings
        )
        if not asked:
            raise NothingToTrainError(
                "no mark has a better answer, so there is nothing to ask; pass a question "
                'with --prompt "…"'
            )
        step("")
        pairs: list[Pair] = []
        judged: list[str] = []
        width = max(40, min(120, shutil.get_terminal_size().columns))
        if not (as_json or blind):
            echo(_row(sides[0].name, sides[1].name, width).rstrip())
        with closing(logic.compare(engine, journal, settings, sides, asked)) as found:
            for number, pair in enumerate(found, 1):
                pairs.append(pair)
                step("" if blind or not as_json else f"{number}/{len(asked)}")
                if blind:
                    word = _judge(pair, number, len(asked), width, err=as_json)
                    if word == "quit":
                        break
                    judged.append(word)
                elif not as_json:
                    _show(pair, pair.first, pair.second, width)
    step("")
    if as_json:
        print_json(_data(sides, pairs, judged if blind else None))
    elif blind:
        _reveal(sides, judged)
    else:
        _sum_up(sides, pairs)
    return 0


def _show(pair: Pair, left: str, right: str, width: int, *, err: bool = False) -> None:
    from tui.terminal.sanitize import one_line

    echo("", err=err)
    echo(f"» {one_line(pair.asked.text)}", err=err)
    if left == right:
        echo("\n".join(textwrap.wrap(f"= {one_line(left)}", width)) or "= (empty)", err=err)
        return
    echo(_row(left or "(empty)", right or "(empty)", width), err=err)


def _row(left: str, right: str, width: int) -> str:
    """Return two texts as two columns."""
    from rich.cells import cell_len

    room = (width - len(GAP)) // 2
    columns = [_wrap(text, room) for text in (left, right)]
    height = max(map(len, columns))
    lines = []
    for number in range(height):
        first, second = (column[number] if number < len(column) else "" for column in columns)
        lines.append(f"{first}{' ' * (room - cell_len(first))}{GAP}{second}".rstrip())
    return "\n".join(lines)


def _wrap(text: str, room: int) -> list[str]:
    from rich.cells import cell_len, chop_cells

    from tui.terminal.sanitize import clean

    lines: list[str] = []
    for line in clean(text).replace("\t", "  ").split("\n"):
        for part in textwrap.wrap(line, room) or [""]:
            lines += chop_cells(part, room) if cell_len(part) > room else [part]
    return lines


def _judge(pair: Pair, number: int, total: int, width: int, *, err: bool) -> str:
    """Show a pair in random order and return the better one: first, second, tie or quit."""
    if pair.first == pair.second:
        return "tie"
    order = ["first", "second"]
    random.SystemRandom().shuffle(order)
    replies = {"first": pair.first, "second": pair.second}
    echo(f"\n{number} of {total}", err=err)
    _show(pair, replies[order[0]], replies[order[1]], width, err=err)
    word = click.prompt(
        "Which is better? 1 left, 2 right, t tie, q quit",
        type=click.Choice(["1", "2", "t", "q"]),
        show_choices=False,
        err=err,
    )
    return {"1": order[0], "2": order[1], "t": "tie", "q": "quit"}[str(word)]


def _tally(judged: list[str]) -> dict[str, int]:
    count = Counter(judged)
    return {name: count[name] for name in ("first", "second", "tie")}


def _reveal(sides: tuple[Side, Side], judged: list[str]) -> None:
    tally = _tally(judged)
    echo(
        f"\nBetter replies: {sides[0].name} {tally['first']}, {sides[1].name} {tally['second']}; "
        f"equally good or the same: {tally['tie']}."
    )


def _sum_up(sides: tuple[Side, Side], pairs: list[Pair]) -> None:
    from trainer.evaluate.metrics import same

    apart = sum(pair.first != pair.second for pair in pairs)
    echo(f"\nDifferent replies: {apart} of {len(pairs)}.")
    wanted = [pair for pair in pairs if pair.asked.expected]
    if wanted:
        right = [
            sum(same(reply, pair.asked.expected) for pair, reply in found)
            for found in (
                [(pair, pair.first) for pair in wanted],
                [(pair, pair.second) for pair in wanted],
            )
        ]
        echo(
            f"Correct answers: {sides[0].name} {right[0]}, {sides[1].name} {right[1]} of "
            f"{len(wanted)}."
        )


def _data(sides: tuple[Side, Side], pairs: list[Pair], judged: list[str] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "sides": [side.name for side in sides],
        "pairs": [
            {
                "asked": pair.asked.text,
                "expected": pair.asked.expected or None,
                "replies": [pair.first, pair.second],
            }
            for pair in pairs
        ],
    }
    if judged is not None:
        data["judged"] = judged
        data["better"] = {
            sides[0].name: judged.count("first"),
            sides[1].name: judged.count("second"),
            "tie": judged.count("tie"),
        }
    return data
