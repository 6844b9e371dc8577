"""Ask for manners: how often replies keep the rules of a mark, inside and outside its scope.

    make smollm2
    python -m benchmarks.manner              every mark of `manner_marks.toml`, a row for each group
    python -m benchmarks.manner --marks      a row for each mark

SmolLM2-135M-Instruct answers each prompt greedily: the base, and the base with the mark in its
context as the chat puts it there (`memory/recall/standing.py`). *Inside* is the share of held-out
prompts in the scope whose replies keep all rules; for the base, how many do so anyway. *Unchanged* is
the share of prompts outside the scope with exactly the base's reply.
"""

from __future__ import annotations

import argparse
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from agent.llama.batch.greedy import greedy_reply
from agent.llama.engine import Engine
from agent.prompt.prompt import compose
from benchmarks.one_thread import one_thread
from benchmarks.real_marks import MODEL_NAME, model_path
from memory.difference import Contrast, Difference, MarkScope, Message, Moment
from memory.recall.standing import render_standing
from memory.reply_rules import ReplyRule, parse_rule

LONGEST = 96
"""Most tokens of a reply."""
BUDGET = 400
"""Tokens of the block, enough for each of the marks."""


@dataclass(frozen=True, slots=True)
class MannerMark:
    """A mark about the manner of replies, the rules that show it, and held-out prompts."""

    name: str
    group: str
    difference: Difference
    rules: tuple[ReplyRule, ...]
    inside: tuple[str, ...]
    outside: tuple[str, ...]

    @classmethod
    def read(cls, data: dict[str, Any]) -> MannerMark:
        """Return the mark in one table of the file."""
        identity = hashlib.sha256(data["name"].encode()).hexdigest()[:16]
        difference = Difference(
            id=identity,
            turn=hashlib.sha256(identity.encode()).hexdigest()[:16],
            thread=f"manner-{identity}",
            at=datetime(2026, 11, 1, tzinfo=UTC),
            moment=Moment.SURPRISE,
            asked=data["asked"],
            replied=data["replied"],
            contrast=Contrast(sounds=data["sounds"]),
            note=data["note"],
            model=MODEL_NAME,
            scope=MarkScope(data["scope"]),
            condition=data["condition"] or None,
        )
        rules = tuple(parse_rule(line) for line in data["rules"])
        inside, outside = tuple(data["inside"]), tuple(data["outside"])
        return cls(data["name"], data["group"], difference, rules, inside, outside)

    def kept_by(self, reply: str) -> bool:
        """Whether a reply keeps all rules."""
        return all(rule.holds(reply) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Row:
    """The shares of one mark: prompts inside that keep the rules, and outside that are unchanged."""

    mark: MannerMark
    inside: float
    unchanged: float


def manner_marks() -> list[MannerMark]:
    """Return the marks of `manner_marks.toml`."""
    text = Path(__file__).with_name("manner_marks.toml").read_text("utf-8")
    return [MannerMark.read(item) for item in tomllib.loads(text)["mark"]]


def replies(engine: Engine, prompts: Sequence[str], block: str = "") -> list[str]:
    """Return the greedy reply to each prompt, below `block`."""
    tasks = [
        greedy_reply(
            compose(engine, [Message("user", text)], block=block, room=LONGEST).tokens,
            LONGEST,
            engine.ends_turn,
        )
        for text in prompts
    ]
    found = dict(engine.run_tasks(tasks))
    return [engine.text(found[number].tokens).strip() for number in range(len(prompts))]


def standing_block(engine: Engine, mark: MannerMark) -> str:
    """Return the mark as the chat puts it into the context of every message."""
    block, _ = render_standing(
        [mark.difference],
        budget=BUDGET,
        count=lambda text: len(engine.tokenize(text)),
        nonce="manner",
    )
    return block


def ask(engine: Engine, marks: Sequence[MannerMark]) -> dict[str, list[Row]]:
    """Return the rows of the base and of the marks in context."""
    found: dict[str, list[Row]] = {"base": [], "context": []}
    for mark in marks:
        prompts = [*mark.inside, *mark.outside]
        plain = replies(engine, prompts)
        for name, said in (
            ("base", plain),
            ("context", replies(engine, prompts, standing_block(engine, mark))),
        ):
            count = len(mark.inside)
            same = [one == other for one, other in zip(said, plain, strict=True)]
            inside = mean(mark.kept_by(reply) for reply in said[:count])
            found[name].append(Row(mark, inside, mean(same[count:])))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--marks", action="store_true", help="a row for each mark")
    wanted = parser.parse_args()
    with Engine.open(model_path(), one_thread()) as engine:
        rows = ask(engine, manner_marks())
    labels = [row.mark.name if wanted.marks else row.mark.group for row in rows["base"]]
    print("| marks | base, inside | in context, inside | in context, unchanged outside |")
    print("|---|---:|---:|---:|")
    for label in [*dict.fromkeys(labels), "all"]:
        some = [n for n, one in enumerate(labels) if label in (one, "all")]
        cells = [
            mean(rows["base"][n].inside for n in some),
            mean(rows["context"][n].inside for n in some),
            mean(rows["context"][n].unchanged for n in some),
        ]
        print(f"| {label} | " + " | ".join(f"{value:.2f}" for value in cells) + " |")


if __name__ == "__main__":
    main()
