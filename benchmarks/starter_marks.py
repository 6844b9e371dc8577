"""Draw the marks of the learning benchmark: question, the starter's reply, expected reply.

    python -m benchmarks.starter_marks [--n 10] [--seed 0]      print them as JSON lines

A grammar (`starter_marks.toml`) generates facts about invented people, places and things, answers that
contradict the starter's world, tone ("shorter", "no list", "formal you"), rejected commonplaces and
holds, alternately in English and Russian. For a given seed, a longer list begins with the shorter one,
so that marks can grow from night to night. The marked reply is what the starter really says. No two
marks are about the same thing.

For measuring only, a mark has wordings and look-alike questions from templates that no training code
uses. Look-alikes ask something else and must keep the base's answer. Wordings, look-alikes and
unrelated prompts come in two sets: seeds from DEV on use the development set, and the reported seeds
(0, 1, 2 …) the other, so that nothing is tuned on what is reported. (The first reported set was seen
while the training was developed; it was added to the development set, and a new one was written.)
A wording on which `trainer/lessons/rephrase.py` happens to train is left out for all contestants.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import TYPE_CHECKING

from benchmarks.themes import DEV, MAKERS, Draft, grammar, reserved, split
from memory.difference import Contrast, Difference, Message, Moment, Span
from memory.text.stemming import plain
from trainer.lessons.anchors.base_answers import prompts
from trainer.lessons.rephrase import rephrase
from trainer.starter.world import facts

if TYPE_CHECKING:
    from agent.llama.engine import Engine

LONGEST = 48
THEMES = (
    "fact", "commonplace", "tone", "fact", "override",
    "fact", "commonplace", "fact", "tone", "hold",
)  # fmt: skip
"""The order of the themes, each in both languages; every other hold is replaced by an override."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A difference, and the questions that only the benchmark asks.

    `framed` puts other words around the question, `reworded` asks it in other words, and `near` are
    look-alikes that ask something else.
    """

    difference: Difference
    theme: str
    language: str
    framed: tuple[str, ...]
    reworded: tuple[str, ...]
    near: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The expected reply."""
        return self.difference.contrast.sounds or self.difference.replied

    @property
    def rephrasings(self) -> tuple[str, ...]:
        """All held-out wordings."""
        return (*self.framed, *self.reworded)


def marks(count: int, seed: int, reply: Callable[[str], str]) -> list[Mark]:
    """Return `count` marks; `reply` asks the base, greedily and without recall."""
    return [
        _finish(*drawn, seed, number, reply) for number, drawn in enumerate(drafts(count, seed))
    ]


def asker(engine: Engine) -> Callable[[str], str]:
    """Return a function that asks `engine` in a new thread, greedily and without a system prompt."""
    from agent.llama.sampling_parameters import Sampling
    from agent.prompt.prompt import compose

    def ask(text: str) -> str:
        prompt = compose(engine, [Message("user", text)], room=LONGEST)
        greedy = Sampling(max_tokens=LONGEST)
        return engine.generate(prompt.tokens, greedy).run().text.strip()

    return ask


@cache
def unrelated(dev: bool) -> tuple[str, ...]:
    """Return prompts that are unrelated to all marks and not trained on.

    There are 30 from outside the starter's world and 60 from within. `dev` selects the development
    set instead of the reported one.
    """
    data, random = grammar()["unrelated"], Random("unrelated")
    names = ("en", "ru") if dev else ("en_report", "ru_report")
    found = [line for name in names for line in data[name].strip().splitlines()]
    known = [fact for fact in facts() if reserved(fact)]
    shipped = {line for half in prompts() for line in half}
    for language in ("en", "ru"):
        for relation in ("capital", "colour", "opposite", "sum", "talk"):
            mine = [f for f in known if (f.language, f.relation) == (language, relation)]
            random.shuffle(mine)
            # There are few topics of small talk: both sets have all of them, in different wordings.
            for fact in mine[:6] if dev or relation == "talk" else mine[6:12]:
                texts = [text for text in (*fact.asked, *fact.held_out) if text not in shipped]
                random.shuffle(texts)
                found.append(texts[not dev])
    return tuple(found)


def drafts(count: int, seed: int) -> list[tuple[str, str, Draft]]:
    """Return `count` triples (theme, language, draft); a longer list begins with the shorter one."""
    sources = {
        (theme, language): maker(language, Random(f"{theme} {language} {seed}"), seed >= DEV)
        for theme, maker in MAKERS.items()
        for language in ("en", "ru")
    }
    drawn: list[tuple[str, str, Draft]] = []
    for number in range(count):
        turn = number // 2
        theme = THEMES[turn % len(THEMES)]
        if theme == "hold" and (turn // len(THEMES)) % 2:
            theme = "override"
        language = ("en", "ru")[number % 2]
        drawn.append((theme, language, next(sources[theme, language])))
    return drawn


def _finish(
    theme: str, language: str, draft: Draft, seed: int, number: int, reply: Callable[[str], str]
) -> Mark:
    random = Random(f"{seed} {number} {draft.asked}")
    replied = reply(draft.asked)
    lines = grammar()["lines"][language]
    tells = theme == "commonplace" and random.random() < 0.4
    contrast = Contrast(
        missed=random.choice(split(lines["missed"])) if tells else None,
        lost=random.choice(split(lines["lost"])) if tells and random.random() < 0.5 else None,
        sounds=draft.sounds,
    )
    identity = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:16]
    difference = Difference(
        id=identity,
        turn=hashlib.sha256(identity.encode()).hexdigest()[:16],
        thread="benchmark",
        at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=number),
        moment=Moment.HOLD if theme == "hold" else Moment.SURPRISE if tells else Moment.ERROR,
        asked=draft.asked,
        replied=replied,
        contrast=contrast,
        span=_span(replied) if theme == "override" and random.random() < 0.5 else None,
        model="starter.gguf",
    )
    frames = grammar()["frames"][language]["dev" if seed >= DEV else "report"].strip().splitlines()
    framed = tuple(_framed(frame, draft.asked) for frame in random.sample(frames, 2))
    trained = {_normalized(text) for text in rephrase(draft.asked).training}
    held_out = [
        tuple(t for t in texts if _normalized(t) not in trained)
        for texts in (framed, (draft.reworded,))
    ]
    return Mark(difference, theme, language, held_out[0], held_out[1], draft.near)


def _normalized(text: str) -> str:
    return plain(text).rstrip("?!. ")


def _span(replied: str) -> Span:
    """Return the last word of a reply, the one that an override replaces."""
    quote = replied.rstrip(".").split()[-1]
    start = replied.rindex(quote)
    return Span(start, start + len(quote), quote)


def _framed(frame: str, asked: str) -> str:
    small = asked if asked.startswith("I ") else asked[0].lower() + asked[1:]
    return frame.format(q=small, c=asked.rstrip("?.!"))


def main() -> int:
    """Print the marks of one seed."""
    from agent.llama.engine import Engine
    from agent.models.served_model import STARTER

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, default=10)
    parser.add_argument("--seed", type=int, default=DEV)
    wanted = parser.parse_args()
    with Engine.open(STARTER) as engine:
        for mark in marks(wanted.n, wanted.seed, asker(engine)):
            d = mark.difference
            row = {
                "theme": mark.theme, "asked": d.asked, "replied": d.replied,
                "sounds": d.contrast.sounds, "missed": d.contrast.missed, "lost": d.contrast.lost,
                "span": d.span and d.span.quote, "rephrasings": mark.rephrasings, "near": mark.near,
            }  # fmt: skip
            print(json.dumps(row, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
