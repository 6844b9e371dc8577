"""The measures of the gate, and how each is decided.

Most pass or fail at a threshold. A share of few questions is coarse: one of two held-out wordings is
half of them. So if a threshold allows less than one miss, one is allowed (with a warning, except among
what must not change). Perplexity has a target and a limit; between them, there is a warning too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memory.sentence import Sentence
from trainer.evaluate.metrics import drift, mean
from trainer.report.report import Change, Measure

if TYPE_CHECKING:
    from memory.settings.settings import GateSettings
    from trainer.evaluate.lesson_answers import LessonAnswers
    from trainer.evaluate.metrics import Answer, Held


@dataclass(frozen=True, slots=True)
class Findings:
    """All answers at one scale: to the lessons as served and without recall, and to the rest."""

    served: LessonAnswers
    alone: LessonAnswers
    near: Sequence[Held]
    anchors: Sequence[Held]
    changes: Sequence[Change]

    def kept(self, *, near: bool) -> float:
        """Return the share of answers without a change that a user would notice."""
        every = self.near if near else self.anchors
        noticed = sum(x.near == near and not x.undecided for x in self.changes)
        return 1 - noticed / len(every) if every else 1.0


def enough(share: float, threshold: float, count: int) -> bool:
    """Whether a share of `count` answers reaches a threshold; one miss of several is always allowed.

    >>> enough(0.5, 0.7, 2), enough(0.75, 0.9, 12), enough(0.0, 0.7, 1)
    (True, False, False)
    """
    return share >= threshold or (count > 1 and round((1 - share) * count, 6) <= 1)


def measures(
    found: Findings, gate: GateSettings, held_now: Sequence[bool], noise: float = 0.0
) -> tuple[Measure, ...]:
    """Return every measure; `noise` is the base's KL from itself in nats per token."""
    return (*_learnt(found, gate, held_now), *_unchanged(found, gate, noise), *_forms(found, gate))


def _learnt(found: Findings, gate: GateSettings, held_now: Sequence[bool]) -> tuple[Measure, ...]:
    """Return the measures of what must be learned and kept."""
    served, alone = found.served, found.alone
    rephrased = min(served.rephrasings, alone.rephrasings)
    reached = rephrased >= gate.rephrasings
    wordings = sum(len(some) for some in served.reworded)
    before = [had for had, held in zip(served.reproduced, held_now, strict=False) if held]
    kept = mean(before)
    lost = (
        Sentence(
            "previously learned lessons lost: {lost} of {held} (keep at least {threshold:.0%})",
            lost=len(before) - sum(before),
            held=len(before),
            threshold=gate.kept,
        )
        if before
        else Sentence("no previously learned lessons to lose")
    )
    return (
        _at_least(
            "lessons",
            served.lessons,
            gate.lessons,
            Sentence(
                "lessons reproduced: {share} (at least {threshold:.0%})",
                share=_share(served.lessons),
                threshold=gate.lessons,
            ),
        ),
        _at_least(
            "alone",
            alone.lessons,
            gate.lessons,
            Sentence(
                "lessons reproduced without recall: {share} (at least {threshold:.0%})",
                share=_share(alone.lessons),
                threshold=gate.lessons,
            ),
        ),
        _at_least(
            "rephrasings",
            rephrased,
            gate.rephrasings,
            Sentence(
                "held-out rephrasings: {share} (at least {threshold:.0%})",
                share=_share(rephrased),
                threshold=gate.rephrasings,
            ),
            warned=not reached and enough(rephrased, gate.rephrasings, wordings),
        ),
        _at_least("kept", kept, gate.kept, lost),
    )


def _unchanged(found: Findings, gate: GateSettings, noise: float) -> tuple[Measure, ...]:
    """Return the measures of the answers that must not change."""
    kl, rise = drift(found.anchors)
    kl = max(0.0, kl - noise)
    return (
        _kept(found, gate, near=True),
        _kept(found, gate, near=False),
        _at_most(
            "kl",
            kl,
            gate.kl,
            Sentence(
                "distance from the base model: {kl:.4f} nats per token (at most {threshold:g})",
                kl=kl,
                threshold=gate.kl,
            ),
        ),
        _at_most(
            "perplexity",
            rise,
            gate.perplexity,
            Sentence(
                "perplexity on unrelated chat: {rise:+.1%} (target {threshold:+.0%}, at most "
                "{limit:+.0%})",
                rise=rise,
                threshold=gate.perplexity,
                limit=gate.perplexity_limit,
            ),
            warned=gate.perplexity < rise <= gate.perplexity_limit,
        ),
    )


def _kept(found: Findings, gate: GateSettings, *, near: bool) -> Measure:
    """Return the measure of the near misses, or of the anchors, that are unchanged."""
    held = found.near if near else found.anchors
    kept, strict = found.kept(near=near), mean([one.strict for one in held])
    threshold, shown = gate.near_misses if near else gate.anchors, _shares(kept, strict)
    return Measure(
        "near_misses" if near else "anchors",
        kept,
        threshold,
        enough(kept, threshold, len(held)),
        Sentence(
            "similar questions unchanged: {share} (at least {threshold:.0%})",
            share=shown,
            threshold=threshold,
        )
        if near
        else Sentence(
            "unrelated answers unchanged: {share} (at least {threshold:.0%})",
            share=shown,
            threshold=threshold,
        ),
        drift=True,
        strict=strict,
    )


def _forms(found: Findings, gate: GateSettings) -> tuple[Measure, ...]:
    """Return the measures of changes that are always bad."""
    said: list[Answer | Held] = [*found.served.every, *found.near, *found.anchors]
    sound = mean([one.sound for one in said])
    endless = sum(not one.ended for one in said)
    spread = sum(change.spread for change in found.changes)
    harmed = sum(change.harm in ("refusal", "wrong") for change in found.changes)
    return (
        _at_least(
            "sound",
            sound,
            gate.sound,
            Sentence(
                "well-formed replies (not empty, no stray think tags): {share} (at least "
                "{threshold:.0%})",
                share=_share(sound),
                threshold=gate.sound,
            ),
            drift=True,
        ),
        _at_most(
            "endless",
            endless,
            gate.endless,
            Sentence(
                "replies that loop or do not end: {count} (at most {threshold})",
                count=endless,
                threshold=gate.endless,
            ),
        ),
        _at_most(
            "spread",
            spread,
            gate.spread,
            Sentence(
                "other questions answered with a lesson's words: {count} (at most {threshold})",
                count=spread,
                threshold=gate.spread,
            ),
        ),
        _at_most(
            "harmed",
            harmed,
            gate.harmed,
            Sentence(
                "correct answers that became wrong, and new refusals: {count} (at most "
                "{threshold})",
                count=harmed,
                threshold=gate.harmed,
            ),
        ),
    )


def _at_least(
    name: str,
    value: float,
    threshold: float,
    sentence: Sentence,
    *,
    drift: bool = False,
    warned: bool = False,
) -> Measure:
    """Return a measure that must reach its threshold."""
    return Measure(name, value, threshold, value >= threshold, sentence, drift, warned)


def _at_most(
    name: str, value: float, threshold: float, sentence: Sentence, *, warned: bool = False
) -> Measure:
    """Return a measure of what must not change, which must not exceed its threshold."""
    return Measure(name, value, threshold, value <= threshold, sentence, True, warned)


def _share(value: float) -> Sentence:
    """Return a share without rounding it over a threshold: 0.949 is 94.9%, not 95%."""
    whole = round(value * 100, 6) == round(value * 100)
    return Sentence("{share:.0%}", share=value) if whole else Sentence("{share:.1%}", share=value)


def _shares(kept: float, strict: float) -> Sentence:
    share = _share(kept)
    return (
        Sentence("{share}, {strict} verbatim", share=share, strict=_share(strict))
        if strict != kept
        else share
    )
