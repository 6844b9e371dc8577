"""The tests an adapter must pass, on the very GGUF and adapter that will serve: the verdict.

Everything is measured as in `trainer/measures.py`: the lessons, held-out rephrasings, near-misses and
held-out anchors the training never saw, and whatever the adapter that serves today holds. When all
was learnt and only something else moved, the adapter's scale is lowered by bisection (llama.cpp takes
one, so nothing is exported again) and the largest one that passes is taken. Nothing is written.

Most measures pass or fail. Perplexity has an aim and a limit: between them the adapter is weakened if
that mends it, and otherwise passes with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.measures import Answer, Wanted, answers, drift, hold, mean, same
from trainer.probe import probe
from trainer.report import Change, Measure
from trainer.unlearnt import excuse

if TYPE_CHECKING:
    from agent.engine import Engine
    from memory.home import GateSettings
    from trainer.anchors import Anchor
    from trainer.lessons import Curriculum, Lesson
    from trainer.measures import Held

__all__ = ["Spoken", "Verdict", "judge", "listen", "measure", "measures_to_json", "probe", "same"]

SCALE_STEPS = 3
LOWEST_SCALE = 0.3
SHOWN_REWORDED = 40
"""Wrong replies to held-out rephrasings that are generated to their end."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said to every lesson: to its question, and to its held-out rephrasings."""

    asked: tuple[Answer, ...]
    reworded: tuple[tuple[Answer, ...], ...]

    @property
    def reproduced(self) -> tuple[bool, ...]:
        """Whether each lesson's question gets the expected reply."""
        return tuple(one.right for one in self.asked)

    @property
    def rephrased(self) -> tuple[float, ...]:
        """Share of each lesson's held-out rephrasings that get it; 1 where there are none."""
        return tuple(mean([one.right for one in some]) for some in self.reworded)

    @property
    def lessons(self) -> float:
        """Share of the lessons that are reproduced."""
        return mean(self.reproduced)

    @property
    def rephrasings(self) -> float:
        """Mean share of the held-out rephrasings, over the lessons that have some."""
        pairs = zip(self.reworded, self.rephrased, strict=True)
        return mean([share for some, share in pairs if some])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found at one scale."""

    scale: float
    measures: tuple[Measure, ...]
    spoken: Spoken
    changes: tuple[Change, ...]
    unlearnt: frozenset[str] = frozenset()
    """Ids of the few differences without which all was learnt (`trainer/unlearnt.py`)."""

    @property
    def passed(self) -> bool:
        """Whether the adapter may serve."""
        return all(measure.passed or measure.warned for measure in self.measures)

    @property
    def clean(self) -> bool:
        """Whether it passed without a warning."""
        return all(measure.passed for measure in self.measures)

    @property
    def sentence(self) -> str:
        """What was decided and why, in one sentence."""
        if self.passed and self.unlearnt:
            return (
                f"the adapter learnt all but {len(self.unlearnt)} of the differences and left the rest "
                "as it was"
            )
        if self.passed:
            return "the adapter learnt what it should and left the rest as it was"
        return "; ".join(item.sentence for item in self.measures if not item.may_serve)

    @property
    def only_drifts(self) -> bool:
        """Whether everything was learnt and only something else moved."""
        failed = [x for x in self.measures if not (x.passed or (x.warned and not x.drift))]
        return bool(failed) and all(measure.drift for measure in failed)


def judge(
    engine: Engine,
    adapter: Path,
    curriculum: Curriculum,
    gate: GateSettings,
    progress: Progress = lambda done, total: None,
    held_now: Sequence[bool] = (),
) -> Verdict:
    """Measure `adapter` and return the verdict; lower its scale when only the drift fails.

    `held_now` tells which lessons are reproduced under the adapter that serves today; none of them
    may be lost. The engine wears no adapter when this returns.
    """
    try:
        verdict = measure(engine, adapter, 1.0, curriculum, gate, progress, held_now)
        if not verdict.only_drifts:
            return verdict
        best, low, high = verdict, LOWEST_SCALE, 1.0
        for _ in range(SCALE_STEPS):
            middle = round(math.sqrt(low * high), 3)
            tried = measure(engine, adapter, middle, curriculum, gate, progress, held_now)
            if tried.clean or (tried.passed and not best.passed):
                best = tried
            if tried.clean or not tried.only_drifts:
                low = middle  # either a larger one may pass too, or this one has unlearnt
            else:
                high = middle
        return best
    finally:
        engine.set_adapter(None)


def measure(
    engine: Engine,
    adapter: Path,
    scale: float,
    curriculum: Curriculum,
    gate: GateSettings,
    progress: Progress = lambda done, total: None,
    held_now: Sequence[bool] = (),
) -> Verdict:
    """Ask everything once with the adapter at `scale`."""
    engine.set_adapter(adapter, scale)
    total = prompts_of(curriculum.lessons)
    total += len(curriculum.near_misses) + len(curriculum.anchors)
    step = _counter(progress, total)
    spoken = listen(engine, curriculum.lessons, step)
    near = hold(engine, curriculum.near_misses, step)
    anchors = hold(engine, curriculum.anchors, step)
    verdict = Verdict(
        scale=scale,
        measures=_measures(spoken, near, anchors, gate, held_now),
        spoken=spoken,
        changes=(
            *_changes(curriculum.anchors, anchors, near=False),
            *_changes(curriculum.near_misses, near, near=True),
        ),
    )
    return excuse(verdict, curriculum.lessons)


def listen(
    engine: Engine, lessons: Sequence[Lesson], step: Callable[[], None] = lambda: None
) -> Spoken:
    """Return what is said to the lessons under what the engine wears."""
    asked = answers(
        engine, [Wanted(x.question.prompt, x.chosen, x.expected) for x in lessons], step
    )
    wanted = [
        Wanted(question.prompt, lesson.chosen, lesson.expected)
        for lesson in lessons
        for question in lesson.held_out
    ]
    reworded = iter(answers(engine, wanted, step, shown=SHOWN_REWORDED))
    return Spoken(tuple(asked), tuple(tuple(next(reworded) for _ in x.held_out) for x in lessons))


def prompts_of(lessons: Sequence[Lesson]) -> int:
    """Return how many prompts `listen` asks."""
    return sum(1 + len(lesson.held_out) for lesson in lessons)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return step


def _changes(anchors: Sequence[Anchor], held: Sequence[Held], *, near: bool) -> list[Change]:
    return [
        Change(anchor.asked, anchor.text, one.text or "", near=near, undecided=one.kept)
        for anchor, one in zip(anchors, held, strict=True)
        if not one.strict
    ]


def _measures(
    spoken: Spoken,
    near: Sequence[Held],
    anchors: Sequence[Held],
    gate: GateSettings,
    held_now: Sequence[bool],
) -> tuple[Measure, ...]:
    right, rephrased = spoken.lessons, spoken.rephrasings
    before = [had for had, held in zip(spoken.reproduced, held_now, strict=False) if held]
    kept = mean(before)
    lost = (
        f"lessons held until now and lost: {len(before) - sum(before)} of {len(before)} "
        f"(keep at least {gate.kept:.0%})"
        if before
        else "no lesson was held until now, so none could be lost"
    )
    apart = [(mean([one.kept for one in some]), mean([one.strict for one in some]))
             for some in (near, anchors)]  # fmt: skip
    (near_kept, near_strict), (anchors_kept, anchors_strict) = apart
    kl, rise = drift(anchors)
    said = [*spoken.asked, *(one for some in spoken.reworded for one in some)]
    sound = mean([*(one.sound for one in said), *(one.sound for one in (*near, *anchors))])
    return (
        Measure("lessons", right, gate.lessons, right >= gate.lessons,
                f"lessons reproduced: {_share(right)} (at least {gate.lessons:.0%})"),
        Measure("rephrasings", rephrased, gate.rephrasings, rephrased >= gate.rephrasings,
                f"held-out rephrasings: {_share(rephrased)} (at least {gate.rephrasings:.0%})"),
        Measure("kept", kept, gate.kept, kept >= gate.kept, lost),
        Measure("near_misses", near_kept, gate.near_misses, near_kept >= gate.near_misses,
                f"look-alike questions unchanged: {_shares(near_kept, near_strict)} "
                f"(at least {gate.near_misses:.0%})", True, strict=near_strict),
        Measure("anchors", anchors_kept, gate.anchors, anchors_kept >= gate.anchors,
                f"unrelated answers unchanged: {_shares(anchors_kept, anchors_strict)} "
                f"(at least {gate.anchors:.0%})", True,
                strict=anchors_strict),
        Measure("kl", kl, gate.kl, kl <= gate.kl,
                f"distance from the base: {kl:.4f} nats a token (at most {gate.kl:g})", True),
        Measure("perplexity", rise, gate.perplexity, rise <= gate.perplexity,
                f"perplexity on unrelated chat: {rise:+.1%} (aim {gate.perplexity:+.0%}, at most "
                f"{gate.perplexity_limit:+.0%})", True,
                warned=gate.perplexity < rise <= gate.perplexity_limit),
        Measure("sound", sound, gate.sound, sound >= gate.sound,
                f"replies of sound form (they end, are not empty, add no think tags): "
                f"{_share(sound)} (at least {gate.sound:.0%})", True),
    )  # fmt: skip


def _share(value: float) -> str:
    """Return a share without rounding it over a threshold: 0.949 is 94.9%, not 95%."""
    return f"{value:.0%}" if round(value * 100, 6) == round(value * 100) else f"{value:.1%}"


def _shares(kept: float, strict: float) -> str:
    share = _share(kept)
    return f"{share}, {_share(strict)} to the letter" if strict != kept else share


def measures_to_json(measures: Sequence[Measure]) -> dict[str, float]:
    """Return name → value, for an adapter's manifest."""
    return {measure.name: round(float(measure.value), 5) for measure in measures}
