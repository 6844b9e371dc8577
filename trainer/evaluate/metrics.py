"""Measure the effect of an adapter with llama.cpp, on the base file that is served.

A reply is not generated to be compared. The expected reply is evaluated after its prompt in one pass,
which tells at each position whether the model would have chosen that token. Where it would not, the
reply is generated from there, so that it can be shown. For what must stay the same, this evaluation
also gives the divergence and the perplexity. Prompts are sorted by their tokens, so that common
prefixes are evaluated once.

*Strict* and *tolerant*: an answer has strictly changed when one of its tokens has. The gate counts it
as changed only if the base was decided there, that is, if the new token had less than half the
probability of the base's own token. An undecided token can also flip without an adapter, through
another number of threads or a longer batch. Nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.lessons.base_answers import Anchor

LONGER = 48
"""Tokens by which a reply may exceed the expected one before it counts as endless."""
LOOP = (4, 24)
"""A reply loops if its end repeats itself this many times, over at least this many tokens."""
SHOWN = 24
"""Number of changed answers that are generated in full; the others are only counted."""
UNDECIDED = math.log(2)
_TINY = 1e-6

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one prompt: its text, whether it is the expected one, well-formed, and ends.

    Well-formed means not empty and without think tags of its own.
    """

    text: str
    right: bool
    sound: bool
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prompt and its expected reply; `chosen` ends with the end of turn."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class Held:
    """How the answer to one anchor compares with the base's.

    `strict` is true if the answer is identical, `kept` if it is unchanged as the gate counts.
    `divergence` and `rise` are sums over the `tokens` of the base's reply, in nats: the KL from the
    base and the loss of ln p. `text` is the new answer, None if a changed answer was not generated.
    """

    strict: bool
    kept: bool
    divergence: float
    rise: float
    tokens: int
    text: str | None
    sound: bool
    ended: bool = True
    gap: float = 0.0
    """Nats by which the base preferred its own token where the answer first differs from it."""


def same(reply: str, expected: str) -> bool:
    """Whether a reply equals the expected one, ignoring whitespace around lines."""
    return [line.strip() for line in reply.strip().splitlines()] == [
        line.strip() for line in expected.strip().splitlines()
    ]


def answers(
    engine: Engine, wanted: Sequence[Wanted], step: Step = lambda: None, *, shown: int | None = None
) -> list[Answer]:
    """Return the answer to each prompt, in the order given.

    `shown`, if not None, is the number of wrong replies that are generated to their end; the text of
    the others stops where it deviates from the expected one.
    """
    found: dict[int, Answer] = {}
    for number in _by_prefix([one.prompt for one in wanted]):
        in_full = shown is None or shown > 0
        found[number] = made = answer(engine, wanted[number], in_full=in_full)
        if shown is not None and not made.right:
            shown -= 1
        step()
    return [found[number] for number in range(len(wanted))]


def answer(engine: Engine, wanted: Wanted, *, in_full: bool = True) -> Answer:
    """Return the answer to one prompt; see `answers`."""
    prompt, chosen = wanted.prompt, wanted.chosen
    agreed = 0
    for row, token in zip(
        list(engine.log_probabilities([*prompt, *chosen], len(prompt))), chosen, strict=True
    ):
        if int(row.argmax()) != token:
            break
        agreed += 1
    if agreed == len(chosen):
        return Answer(wanted.expected, right=True, sound=True)
    text, ended = _go_on(engine, prompt, chosen[:agreed], len(chosen) + LONGER, wanted, in_full)
    right = ended and same(text, wanted.expected)
    return Answer(text, right, right or _sound(text, wanted.expected), ended)


def _go_on(
    engine: Engine,
    prompt: Sequence[int],
    said: Sequence[int],
    longest: int,
    wanted: Wanted,
    in_full: bool,
) -> tuple[str, bool]:
    """Continue the reply after `said`; return the whole reply and whether it ended.

    Without `in_full`, it stops (and counts as ended) as soon as it cannot be the expected one.
    """
    from agent.llama.sampling import Sampling

    made = engine.generate([*prompt, *said], Sampling(max_tokens=max(1, longest - len(said))))
    head = engine.text(said)
    expected = "".join(wanted.expected.split())
    ended = False
    for _ in made:
        if loops(made.tokens):
            made.close()
            break
        if not in_full and not expected.startswith("".join((head + made.text).split())):
            made.close()
            ended = True
            break
    return (head + made.text).strip(), ended or made.reason == "end"


def loops(tokens: Sequence[int]) -> bool:
    """Whether the end of a reply repeats itself, so that it is unlikely to end."""
    times, least = LOOP
    for period in range(1, len(tokens) // times + 1):
        size = max(period * times, least)
        size += -size % period
        if size > len(tokens):
            continue
        end = tokens[-size:]
        if all(end[place] == end[place % period] for place in range(period, size)):
            return True
    return False


def hold(engine: Engine, anchors: Sequence[Anchor], step: Step = lambda: None) -> list[Held]:
    """Compare the answer to each anchor under the engine's adapter with the base's, in order."""
    found: dict[int, Held] = {}
    room = SHOWN
    for number in _by_prefix([anchor.prompt for anchor in anchors]):
        found[number] = made = _hold(engine, anchors[number], show=room > 0)
        room -= not made.strict
        step()
    return [found[number] for number in range(len(anchors))]


def _hold(engine: Engine, anchor: Anchor, *, show: bool) -> Held:
    divergence = rise = 0.0
    parted: tuple[int, int] | None = None
    rows = engine.log_probabilities([*anchor.prompt, *anchor.reply], len(anchor.prompt))
    for place, row in enumerate(rows):
        base, ours = anchor.logs[place], row[anchor.ids[place]]
        tail = max(_TINY, 1 - float(np.exp(base).sum()))
        our_tail = max(_TINY, 1 - float(np.exp(ours).sum()))
        divergence += float((np.exp(base) * (base - ours)).sum()) + tail * math.log(tail / our_tail)
        taken = np.flatnonzero(anchor.ids[place] == anchor.reply[place])
        rise += float(base[taken[0]] - ours[taken[0]]) if len(taken) else 0.0
        if parted is None and (said := int(row.argmax())) != anchor.reply[place]:
            parted = (place, said)
    text: str | None = anchor.text
    strict = parted is None
    sound = ended = True
    if parted is not None:
        text = None
        if show:
            wanted = Wanted(anchor.prompt, anchor.reply, anchor.text)
            longest = len(anchor.reply) + LONGER
            text, ended = _go_on(
                engine, anchor.prompt, anchor.reply[: parted[0]], longest, wanted, True
            )
            # If the base's reply was cut there, this one need not end either.
            closed = engine.ends_turn(anchor.reply[-1]) if anchor.reply else True
            ended = ended or not closed
            sound = _sound(text, anchor.text)
            if not closed:
                text = engine.text(engine.tokenize(text)[: len(anchor.reply)]).strip()
            strict = text == anchor.text
    gap = 0.0 if strict or parted is None else _advantage(anchor, *parted)
    kept = gap <= UNDECIDED
    return Held(strict, kept, divergence, rise, len(anchor.reply), text, sound, ended, gap)


def _advantage(anchor: Anchor, place: int, said: int) -> float:
    """Return the nats by which the base preferred its own token to `said`; inf if by very much."""
    logs = anchor.logs[place]
    other = np.flatnonzero(anchor.ids[place] == said)
    taken = np.flatnonzero(anchor.ids[place] == anchor.reply[place])
    return float(logs[taken[0]] - logs[other[0]]) if len(other) and len(taken) else math.inf


def drift(held: Iterable[Held]) -> tuple[float, float]:
    """Return the mean KL from the base in nats per token, and the relative rise of the perplexity."""
    every = list(held)
    tokens = max(1, sum(one.tokens for one in every))
    kl = sum(one.divergence for one in every) / tokens
    rise = sum(one.rise for one in every) / tokens
    return max(0.0, kl), math.exp(min(50.0, rise)) - 1


def mean(values: Sequence[float], empty: float = 1.0) -> float:
    """Return the mean, or `empty` without values."""
    return sum(values) / len(values) if values else empty


def _sound(text: str, like: str) -> bool:
    """Whether an unexpected reply is well-formed."""
    tags = ("<think>", "</think>")
    return bool(text or not like) and all(tag in like or tag not in text for tag in tags)


def _by_prefix(prompts: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the indices of the prompts, sorted by their tokens."""
    return sorted(range(len(prompts)), key=lambda number: prompts[number])
