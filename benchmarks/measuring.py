"""Measure the effect of a trained adapter, on the served GGUF in llama.cpp, with greedy decoding.

The same code measures every contestant of `benchmarks/learning.py`. *efficacy*: share of marks whose
question gets exactly the expected reply. *rephrasings*: the same for wordings that were not trained;
*framed* puts other words around the question, *reworded* asks it in other words. *near*, *unrelated*:
share of look-alike and unrelated questions whose answer is identical to the base's. *kl*: mean
KL(base ‖ adapted) per token over the whole vocabulary, in nats, on the base's answers to the unrelated
questions. *perplexity*: of the right replies to held-out questions about the starter's world and to
questions it cannot answer, some of them later in a conversation. Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.prompt.prompt import Prompt, compose, reply_tokens
from benchmarks.recalling import BlockFunction, no_recall
from benchmarks.starter_marks import Mark, unrelated
from memory.difference import Message
from trainer.evaluate.metrics import same

if TYPE_CHECKING:
    from agent.llama.engine import Engine

LONGEST = 64
HELD_OUT_CASES = 20
"""Cases of each column and language for the perplexity."""


@dataclass(frozen=True, slots=True)
class Missed:
    """One wrong answer."""

    what: str
    theme: str
    asked: str
    expected: str
    said: str


@dataclass(frozen=True, slots=True)
class Base:
    """The base's answers, which must not change.

    `near` and `unrelated` map each question to the text, and `rows` each unrelated question to the
    reply's tokens and their ln p, [tokens, vocabulary].
    """

    near: dict[str, str]
    unrelated: dict[str, str]
    rows: dict[str, tuple[tuple[int, ...], np.ndarray[Any, Any]]]


def ask(engine: Engine, text: str, block: str = "") -> tuple[str, bool]:
    """Return the greedy reply in a new thread, and whether it ended."""
    from agent.llama.sampling_parameters import Sampling

    made = engine.generate(_prompt(engine, text, block).tokens, Sampling(max_tokens=LONGEST)).run()
    return made.text.strip(), made.reason == "end"


def _prompt(engine: Engine, text: str, block: str = "") -> Prompt:
    return compose(engine, [Message("user", text)], block=block, room=LONGEST)


def base_answers(engine: Engine, marks: Sequence[Mark], dev: bool) -> Base:
    """Ask the base; the engine must have no adapter. `dev` is as in `starter_marks.unrelated`."""
    rows = {}
    for text in unrelated(dev):
        said, _ended = ask(engine, text)
        reply, prompt = reply_tokens(engine, said), _prompt(engine, text).tokens
        rows[text] = (
            reply,
            np.stack(list(engine.log_probabilities([*prompt, *reply], len(prompt)))),
        )
    return Base(
        near={text: ask(engine, text)[0] for mark in marks for text in mark.near},
        unrelated={text: ask(engine, text)[0] for text in unrelated(dev)},
        rows=rows,
    )


def measure(
    engine: Engine, marks: Sequence[Mark], base: Base, block: BlockFunction = no_recall
) -> tuple[dict[str, Any], list[Missed]]:
    """Return the columns by name, and every wrong answer."""
    missed: list[Missed] = []
    themes: dict[str, list[bool]] = {}

    def right(what: str, mark: Mark, texts: Sequence[str]) -> list[bool]:
        found = []
        for text in texts:
            said, ended = ask(engine, text, block(text))
            found.append(ended and same(said, mark.expected))
            themes.setdefault(f"{what} {mark.theme} {mark.language}", []).append(found[-1])
            if not found[-1]:
                missed.append(Missed(what, mark.theme, text, mark.expected, said))
        return found

    def kept(what: str, theme: str, answers: dict[str, str]) -> list[bool]:
        found = []
        for text, answer in answers.items():
            said, _ended = ask(engine, text, block(text))
            found.append(said == answer)
            if said != answer:
                missed.append(Missed(what, theme, text, answer, said))
        return found

    efficacy = [x for mark in marks for x in right("efficacy", mark, [mark.difference.asked])]
    framed = [x for mark in marks for x in right("framed", mark, mark.framed)]
    reworded = [x for mark in marks for x in right("reworded", mark, mark.reworded)]
    near = [
        x
        for mark in marks
        for x in kept("near", mark.theme, {text: base.near[text] for text in mark.near})
    ]
    columns = {
        "efficacy": _mean(efficacy),
        "rephrasings": _mean([*framed, *reworded]),
        "framed": _mean(framed),
        "reworded": _mean(reworded),
        "near": _mean(near),
        "unrelated": _mean(kept("unrelated", "", base.unrelated)),
        "kl": round(_divergence(engine, base, block), 5),
        "perplexity": round(_perplexity(engine, marks, block), 4),
        "themes": {name: _mean(found) for name, found in sorted(themes.items())},
    }
    return columns, missed


def _divergence(engine: Engine, base: Base, block: BlockFunction) -> float:
    found: list[float] = []
    for text, (reply, rows) in base.rows.items():
        prompt = _prompt(engine, text, block(text)).tokens
        ours = engine.log_probabilities([*prompt, *reply], len(prompt))
        for theirs, row in zip(rows, ours, strict=True):
            found.append(float((np.exp(theirs) * (theirs - row)).sum()))
    return sum(found) / len(found)


def _perplexity(engine: Engine, marks: Sequence[Mark], block: BlockFunction) -> float:
    """Return the perplexity of right replies; those that a mark contradicts are left out."""
    from trainer.starter import measure as starter
    from trainer.starter.world import DONT_KNOW

    taught = {mark.difference.replied for mark in marks} - set(DONT_KNOW.values())
    found: list[float] = []
    for case in starter.cases(HELD_OUT_CASES, columns=("world", "world later", "unknown later")):
        if case.right in taught:
            continue
        talk = [
            message
            for turn in case.before
            for message in (Message("user", turn.content), Message("assistant", turn.reply))
        ]
        prompt = compose(engine, [*talk, Message("user", case.content)], block=block(case.content))
        found += engine.surprisal(prompt.tokens, reply_tokens(engine, case.right)).tolist()
    return math.exp(sum(found) / len(found))


def _mean(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 1.0
