"""What a trained adapter does, measured on the served GGUF through llama.cpp, greedily.

The same code measures every contestant of `benchmarks/learning.py`. *efficacy*: marks whose question is
answered as it should sound, to the letter. *rephrasings*: the same for wordings that nothing was
trained on; *framed* are those that put other words around the question, *reworded* those that ask it
otherwise. *near*, *unrelated*: look-alike and unrelated questions whose answer is letter for letter the
base's. *kl*: mean KL(base ‖ adapted) a token over the whole vocabulary, in nats, on the base's own
answers to the unrelated. *perplexity*: of the right replies to held-out questions about the starter's
world and to questions it cannot know, some of them later in a talk. Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.prompt.prompt import Prompt, compose, reply_tokens
from benchmarks.marks import Mark, unrelated
from memory.difference import Message
from trainer.evaluate.metrics import same

if TYPE_CHECKING:
    from agent.llama.engine import Engine

LONGEST = 64
HELD_OUT_CASES = 20
"""Cases of each column and language that the perplexity is taken on."""

Block = Callable[[str], str]
"""A user's message → the recalled text that is placed before it ("" for none)."""


@dataclass(frozen=True, slots=True)
class Missed:
    """One answer that was not as it should be."""

    what: str
    theme: str
    asked: str
    expected: str
    said: str


@dataclass(frozen=True, slots=True)
class Base:
    """The base's own answers to what must stay: text, and tokens with ln p [tokens, vocabulary]."""

    near: dict[str, str]
    unrelated: dict[str, str]
    rows: dict[str, tuple[tuple[int, ...], np.ndarray[Any, Any]]]


def no_recall(message: str) -> str:
    """Recall nothing."""
    del message
    return ""


def ask(engine: Engine, text: str, block: str = "") -> tuple[str, bool]:
    """Return the greedy reply in a fresh thread, and whether it was closed."""
    from agent.llama.sampling import Sampling

    made = engine.generate(_prompt(engine, text, block).tokens, Sampling(max_tokens=LONGEST)).run()
    return made.text.strip(), made.reason == "end"


def _prompt(engine: Engine, text: str, block: str = "") -> Prompt:
    return compose(engine, [Message("user", text)], block=block, room=LONGEST)


def base_answers(engine: Engine, marks: Sequence[Mark], dev: bool) -> Base:
    """Ask the base, which must wear no adapter; `dev` as in `benchmarks.marks.unrelated`."""
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
    engine: Engine, marks: Sequence[Mark], base: Base, block: Block = no_recall
) -> tuple[dict[str, Any], list[Missed]]:
    """Return the columns by name, and every answer that was not as it should be."""
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


def _divergence(engine: Engine, base: Base, block: Block) -> float:
    found: list[float] = []
    for text, (reply, rows) in base.rows.items():
        prompt = _prompt(engine, text, block(text)).tokens
        ours = engine.log_probabilities([*prompt, *reply], len(prompt))
        for theirs, row in zip(rows, ours, strict=True):
            found.append(float((np.exp(theirs) * (theirs - row)).sum()))
    return sum(found) / len(found)


def _perplexity(engine: Engine, marks: Sequence[Mark], block: Block) -> float:
    """Return the perplexity of right replies; what a mark speaks against is left out."""
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
