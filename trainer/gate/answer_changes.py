"""Tell the changed answers that a person would notice from noise.

An answer differs "to the letter" as soon as one token does. Two things make that mean little. The base
itself gives other tokens when the same file is evaluated in another batch shape or with another number
of threads (`measure_noise`), where two tokens are nearly equal. And a reply that rambles on has many
continuations that the base would give as well: the chat draws among them anyway. So a change counts
only if the base preferred its own token by more than its own noise, and, in a reply that it had not
ended, if the new reply contains a token that the base itself would hardly draw.

A change that means something counts even there: the words of a lesson, a refusal, a right answer that
became wrong, a reply without an end. Only where the base itself preferred its answer by less than TIE
is a refusal or a wrong answer its own as much as the adapter's. Nothing is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memory.text.stemming import plain
from trainer.evaluate.metrics import UNDECIDED, drift, hold, mean
from trainer.gate.known_answers import is_right
from trainer.report.report import Change

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from trainer.evaluate.metrics import Held
    from trainer.gate.spillover import Spread
    from trainer.lessons.anchors.base_answers import Anchor

SAMPLE = 24
"""Prompts that the base is asked again to measure its noise."""
DRAWN = math.log(10)
"""Nats by which a token may be less likely than the likeliest one and still be drawn: a tenth of its
probability, the floor that samplers use by default (min-p; Nguyen et al., "Turning Up the Heat",
2024)."""
TIE = 0.1
"""Nats between two tokens that the base draws about equally often: 52.5% and 47.5% at temperature 1.
(*Measured* on the starter: "Thanks for the answer." in a conversation gets "You are welcome." .02 nats
before "I don't know that yet.".)"""
_REFUSES = re.compile(
    r"\b(i(?:'m| am) sorry|i can(?:'t|not| not)|i(?:'m| am) (?:unable|not able)|as an ai|"
    r"i do(?:n't| not) know|я (?:\w+ )?не (?:могу|знаю)|извините|простите|"
    r"к сожалению|как языковая модель)\b"
)


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the base's own answers vary: share that changes, KL in nats per token, and the margin.

    `margin` is the advantage in nats of its own token from which the base is decided.
    """

    changed: float = 0.0
    kl: float = 0.0
    margin: float = UNDECIDED


QUIET = Noise()
"""No noise was measured."""


def measure_noise(engine: Engine, anchors: Sequence[Anchor]) -> Noise:
    """Evaluate some of the base's answers again; the engine must have no adapter.

    They were drawn token by token with others in one batch, and are evaluated in one pass each.
    """
    some = anchors[:: max(1, len(anchors) // SAMPLE)][:SAMPLE]
    held = hold(engine, some, together=1)
    largest = max((one.gap for one in held if math.isfinite(one.gap)), default=0.0)
    return Noise(
        mean([not one.strict for one in held], 0.0), drift(held)[0], max(UNDECIDED, largest)
    )


def refuses(text: str) -> bool:
    """Whether a reply says that it cannot or does not know."""
    return _REFUSES.search(plain(text).replace("’", "'")) is not None


@dataclass(frozen=True, slots=True)
class ChangeJudge:
    """Says what changed answers mean; the engine must have no adapter."""

    engine: Engine
    spread: Spread
    noise: Noise

    def changes(
        self, anchors: Sequence[Anchor], held: Sequence[Held], *, near: bool
    ) -> list[Change]:
        """Return the answers that are not the same to the letter."""
        return [
            self._change(anchor, one, near=near)
            for anchor, one in zip(anchors, held, strict=True)
            if not one.strict
        ]

    def _change(self, anchor: Anchor, one: Held, *, near: bool) -> Change:
        text = one.text or ""
        undecided = one.gap <= self.noise.margin
        carried = self.spread.source(anchor.asked, anchor.text, text, undecided=undecided)
        harm = _harm(anchor, one) if one.text is not None else ""
        if carried or harm:
            undecided = False
        elif not undecided and one.text is not None and self._rambles(anchor):
            undecided = self._would_say(anchor, text)
        return Change(
            anchor.asked,
            anchor.text,
            text,
            near=near,
            undecided=undecided,
            spread=bool(carried),
            harm=harm,
            difference=carried,
        )

    def _rambles(self, anchor: Anchor) -> bool:
        """Whether the base had not ended its reply where it was cut."""
        return bool(anchor.reply) and not self.engine.ends_turn(anchor.reply[-1])

    def _would_say(self, anchor: Anchor, text: str) -> bool:
        """Whether the base would draw every token of `text` itself."""
        tokens = self.engine.tokenize(text)
        rows = self.engine.log_probabilities([*anchor.prompt, *tokens], len(anchor.prompt))
        return all(
            float(row.max() - row[token]) <= DRAWN for row, token in zip(rows, tokens, strict=True)
        )


def _harm(anchor: Anchor, one: Held) -> str:
    """Return "refusal", "wrong" or "form" for a change for the worse, "" for another one."""
    text = one.text or ""
    if not one.sound or not one.ended:
        return "form"
    if one.gap <= TIE:
        return ""
    if is_right(anchor.asked, anchor.text) and is_right(anchor.asked, text) is False:
        return "wrong"
    return "refusal" if refuses(text) and not refuses(anchor.text) else ""
