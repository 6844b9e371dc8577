"""Distinguish the changed answers that a user would notice from noise.

An answer has changed "to the letter" as soon as one token differs, but that alone means little, for two
reasons. The base itself gives other tokens where two are nearly equal, when the same file is evaluated
in another batch shape or with another number of threads (`measure_noise`). And a reply without an end
has many continuations that the base would give as well; the chat samples among them anyway. So a change
counts only if the base preferred its own token by more than its noise, and, in a reply that it had not
ended, if the new reply contains a token that the base would hardly sample.

Some changes count even then: the words of a lesson, a refusal, a right answer that became wrong, a
reply without an end. A refusal or a wrong answer does not count if the base itself preferred its answer
by less than TIE. Nothing is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memory.text.stemming import plain
from trainer.evaluate.metrics import UNDECIDED, compare_anchors, drift, mean
from trainer.gate.right_answers import is_right
from trainer.report.report import Change

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.evaluate.metrics import Held
    from trainer.gate.spillover import Spread
    from trainer.lessons.anchors.base_answers import Anchor

SAMPLE = 24
"""Number of prompts that are evaluated again to measure the noise."""
MIN_P = math.log(10)
"""Nats by which a token may be less likely than the most likely one and still be sampled: a tenth of
its probability, the usual default of min-p sampling (Nguyen et al., "Turning Up the Heat", 2024)."""
TIE = 0.1
"""Nats between two tokens that the base samples about equally often: 52.5% and 47.5% at temperature 1.
(*Measured* on the starter: "Thanks for the answer." in a conversation gets "You are welcome." .02 nats
before "I don't know that yet.".)"""
_REFUSES = re.compile(
    r"\b(i(?:'m| am) sorry|i can(?:'t|not| not)|i(?:'m| am) (?:unable|not able)|as an ai|"
    r"i do(?:n't| not) know|я (?:\w+ )?не (?:могу|знаю)|извините|простите|"
    r"к сожалению|как языковая модель)\b"
)


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the base's own answers vary: the share that changes, and the KL in nats per token.

    The base counts as decided if it prefers its own token by more than `margin` nats.
    """

    changed: float = 0.0
    kl: float = 0.0
    margin: float = UNDECIDED


NO_NOISE = Noise()
"""No noise was measured."""


def measure_noise(engine: Engine, anchors: Sequence[Anchor]) -> Noise:
    """Evaluate some of the base's answers again; the engine must have no adapter.

    They were generated in batches, and are now evaluated in one pass each.
    """
    some = anchors[:: max(1, len(anchors) // SAMPLE)][:SAMPLE]
    held = compare_anchors(engine, some, together=1)
    largest = max((one.gap for one in held if math.isfinite(one.gap)), default=0.0)
    return Noise(
        mean([not one.strict for one in held], 0.0), drift(held)[0], max(UNDECIDED, largest)
    )


def refuses(text: str) -> bool:
    """Whether a reply says that it cannot or does not know."""
    return _REFUSES.search(plain(text).replace("’", "'")) is not None


def would_sample(engine: Engine, prompt: Sequence[int], reply: str) -> bool:
    """Whether `engine` could sample every token of `reply` after `prompt`; see MIN_P."""
    tokens = engine.tokenize(reply)
    rows = engine.log_probabilities([*prompt, *tokens], len(prompt))
    return all(
        float(row.max() - row[token]) <= MIN_P for row, token in zip(rows, tokens, strict=True)
    )


@dataclass(frozen=True, slots=True)
class ChangeJudge:
    """Decides which changed answers count; the engine must have no adapter."""

    engine: Engine
    spread: Spread
    noise: Noise

    def changes(
        self, anchors: Sequence[Anchor], held: Sequence[Held], *, near: bool
    ) -> list[Change]:
        """Return the answers that differ from the base's in any token."""
        return [
            self._change(anchor, one, near=near)
            for anchor, one in zip(anchors, held, strict=True)
            if not one.strict
        ]

    def _change(self, anchor: Anchor, one: Held, *, near: bool) -> Change:
        # Without a text: a clear change among so many that the gate fails anyway.
        if one.text is None:
            return Change(anchor.asked, anchor.text, "", near=near)
        undecided = one.gap <= self.noise.margin
        spilled = self.spread.source(anchor.asked, anchor.text, one.text)
        # Where the base was undecided, a reply in the form of a lesson may be its own second choice.
        if spilled and spilled.only_form and undecided and self._may_say(anchor, one.text):
            spilled = None
        harm = _harm(anchor, one)
        if spilled or harm:
            undecided = False
        elif not undecided and self._rambles(anchor):
            undecided = self._may_say(anchor, one.text)
        return Change(
            anchor.asked,
            anchor.text,
            one.text,
            near=near,
            undecided=undecided,
            spread=spilled is not None,
            harm=harm,
            difference=spilled.difference if spilled else "",
        )

    def _may_say(self, anchor: Anchor, text: str) -> bool:
        """Whether the base itself might sample `text`."""
        return would_sample(self.engine, anchor.prompt, text)

    def _rambles(self, anchor: Anchor) -> bool:
        """Whether the base had not ended its reply where it was cut."""
        return bool(anchor.reply) and not self.engine.ends_turn(anchor.reply[-1])


def _harm(anchor: Anchor, one: Held) -> str:
    """Return how an answer became worse: "refusal", "wrong" or "form"; "" if it did not."""
    text = one.text or ""
    if not one.sound or not one.ended:
        return "form"
    if one.gap <= TIE:
        return ""
    if is_right(anchor.asked, anchor.text) and is_right(anchor.asked, text) is False:
        return "wrong"
    return "refusal" if refuses(text) and not refuses(anchor.text) else ""
