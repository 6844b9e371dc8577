"""Measure the effect of an adapter in llama.cpp, on the base file that is served.

To compare a reply with the expected one, it is not generated. The expected reply is evaluated after its
prompt in one pass, which shows at each position whether the model would have chosen that token. The
reply is generated only from the first token that differs. For answers that must not change, the same
pass gives the divergence and the perplexity. Prompts are evaluated in batches (`Engine.run_tasks`).

*Strict* and *tolerant*: an answer has strictly changed if one of its tokens has. The gate counts it as
changed only if the base was decided there, that is, if the new token had less than half the probability
of the base's own token. Between tokens of similar probability, the choice can flip even without an
adapter, with another number of threads or a longer batch. Nothing is written.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from agent.llama.batch.decoder import SEQUENCES, Evaluate, Steps, Task
from agent.llama.batch.greedy import best_token, continued
from agent.llama.logits import log_sum_exp

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from agent.llama.logits import FloatArray
    from trainer.lessons.anchors.base_answers import Anchor

LONGER = 48
"""Tokens by which a reply may exceed the expected one before it counts as endless."""
CUT = 4
"""The same if the base's reply was cut at the limit, so that this one is cut too."""
LOOP = (4, 24)
"""A reply loops if its end repeats itself this many times, over at least this many tokens."""
SHOWN = 24
"""Number of clearly changed answers that are generated in full; the others are only counted, because so
many fail the gate anyway."""
UNDECIDED = math.log(2)
_TINY = 1e-6

OnStep = Callable[[], None]
T = TypeVar("T")


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
    engine: Engine,
    wanted: Sequence[Wanted],
    step: OnStep = lambda: None,
    *,
    shown: int | None = None,
) -> list[Answer]:
    """Return the answer to each prompt, in the order given.

    `shown`, if not None, is the number of wrong replies that are generated to their end; the text of
    the others stops where it deviates from the expected one.
    """
    budget = _Budget(len(wanted) if shown is None else shown)
    return _run_in_order(engine, [_answer_task(engine, one, budget) for one in wanted], step)


def _run_in_order(
    engine: Engine, tasks: Sequence[Task[T]], step: OnStep, together: int = SEQUENCES
) -> list[T]:
    """Return the results of the tasks in order; call `step` as each of them ends."""
    found: dict[int, T] = {}
    with closing(engine.run_tasks(tasks, together=together)) as results:
        for number, result in results:
            found[number] = result
            step()
    return [found[number] for number in range(len(tasks))]


@dataclass(slots=True)
class _Budget:
    """The number of replies that may still be generated to their end."""

    left: int

    def take(self) -> bool:
        """Take one from the budget; return whether one was left."""
        self.left -= 1
        return self.left >= 0


def _answer_task(engine: Engine, wanted: Wanted, budget: _Budget) -> Task[Answer]:
    prompt, chosen = wanted.prompt, wanted.chosen
    longest = min(len(chosen) + LONGER, engine.info.context - len(prompt))

    def steps() -> Steps[Answer]:
        score = Evaluate([*prompt, *chosen[:-1]], len(prompt) - 1, best_token)
        said: list[int] = yield score
        agreed = _agreed(said, chosen)
        if agreed == len(chosen):
            return Answer(wanted.expected, right=True, sound=True)
        in_full = budget.take()
        reply = _Reply(engine, chosen[:agreed], "" if in_full else wanted.expected)
        ended = yield from reply.steps(said[agreed], len(prompt) + agreed, longest - agreed)
        right = ended and same(reply.text, wanted.expected)
        return Answer(reply.text, right, right or _sound(reply.text, wanted.expected), ended)

    return Task(steps(), len(prompt) + max(longest, len(chosen)))


def _agreed(said: Sequence[int], chosen: Sequence[int]) -> int:
    """Return the number of tokens up to the first one that differs."""
    pairs = enumerate(zip(said, chosen, strict=True))
    return next((place for place, (one, other) in pairs if one != other), len(chosen))


class _Reply:
    """A reply that is generated after given tokens until it ends or loops.

    With a text to match, ignoring whitespace, it also stops (and counts as ended) at the first
    deviation.
    """

    def __init__(self, engine: Engine, head: Sequence[int], like: str) -> None:
        """Start after the tokens `head`; `like` is the text to match, "" for none."""
        self._engine = engine
        self._like = "".join(like.split())
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = engine.text(head)
        self._tokens: list[int] = []
        self._deviates = False

    @property
    def text(self) -> str:
        """The whole reply."""
        return self._text.strip()

    def steps(self, first: int, kept: int, most: int) -> Steps[bool]:
        """Generate up to `most` tokens from `first` on, after `kept` ones; return whether it ended."""
        ended = yield from continued(first, kept, max(1, most), self._engine.ends_turn, self._add)
        self._text += self._decoder.decode(b"", final=True)
        return ended or self._deviates

    def _add(self, token: int) -> bool:
        self._tokens.append(token)
        self._text += self._decoder.decode(self._engine.bytes_of(token))
        if loops(self._tokens):
            return True
        self._deviates = bool(self._like) and not self._like.startswith("".join(self._text.split()))
        return self._deviates


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


def compare_anchors(
    engine: Engine,
    anchors: Sequence[Anchor],
    step: OnStep = lambda: None,
    *,
    together: int = SEQUENCES,
) -> list[Held]:
    """Compare the answer to each anchor, with the engine's adapter, with the base's; in order.

    `together` is the number of prompts per batch; with 1, each is evaluated like a prompt in a chat.
    """
    budget = _Budget(SHOWN)
    tasks = [_anchor_task(engine, anchor, budget) for anchor in anchors]
    return _run_in_order(engine, tasks, step, together)


@dataclass(slots=True)
class _Distance:
    """Sums over a reply, in nats: see `Held`."""

    anchor: Anchor
    divergence: float = 0.0
    rise: float = 0.0

    def read(self, place: int, row: FloatArray) -> int:
        """Add a position of the reply; return the most likely token."""
        anchor = self.anchor
        base, ours = anchor.logs[place], row[anchor.ids[place]] - log_sum_exp(row)
        self.divergence += top_k_kl(base, ours)
        taken = np.flatnonzero(anchor.ids[place] == anchor.reply[place])
        self.rise += float(base[taken[0]] - ours[taken[0]]) if len(taken) else 0.0
        return int(row.argmax())


def top_k_kl(base: FloatArray, ours: FloatArray) -> float:
    """Return KL(base ‖ ours) at one position in nats, from ln p of the same k tokens, each [k].

    The other tokens count as one bucket, so this is a lower bound.
    """
    tail = max(_TINY, 1 - float(np.exp(base).sum()))
    our_tail = max(_TINY, 1 - float(np.exp(ours).sum()))
    top = float((np.exp(base) * (base - ours)).sum())
    return top + tail * math.log(tail / our_tail)


def _anchor_task(engine: Engine, anchor: Anchor, budget: _Budget) -> Task[Held]:
    prompt, reply = anchor.prompt, anchor.reply
    # If the base's reply was cut, this one need not end either.
    closed = not reply or engine.ends_turn(reply[-1])
    longest = min(len(reply) + (LONGER if closed else CUT), engine.info.context - len(prompt))

    def steps() -> Steps[Held]:
        sums = _Distance(anchor)
        said: list[int] = []
        if reply:
            said = yield Evaluate([*prompt, *reply[:-1]], len(prompt) - 1, sums.read)
        agreed = _agreed(said, reply)
        text: str | None = anchor.text
        strict = agreed == len(reply)
        sound = ended = True
        gap = 0.0
        if not strict:
            text = None
            gap = _advantage(anchor, agreed, said[agreed])
            if gap <= UNDECIDED or budget.take():
                whole = _Reply(engine, reply[:agreed], "")
                ended = yield from whole.steps(said[agreed], len(prompt) + agreed, longest - agreed)
                ended = ended or not closed
                text = whole.text
                sound = _sound(text, anchor.text)
                if not closed:
                    text = engine.text(engine.tokenize(text)[: len(reply)]).strip()
                strict = text == anchor.text
        if strict:
            gap = 0.0
        return Held(
            strict=strict,
            kept=gap <= UNDECIDED,
            divergence=sums.divergence,
            rise=sums.rise,
            tokens=len(reply),
            text=text,
            sound=sound,
            ended=ended,
            gap=gap,
        )

    return Task(steps(), len(prompt) + max(longest, len(reply)))


def _advantage(anchor: Anchor, place: int, said: int) -> float:
    """Return by how many nats the base preferred its own token to `said`; inf beyond its top k."""
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
