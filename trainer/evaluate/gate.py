"""The tests an adapter must pass, on the very configuration that will serve: the verdict.

Everything is measured as in `trainer/evaluate/metrics.py`: the lessons in a new thread, in the
thread of the mark and after other marked questions, held-out rephrasings, near-misses and held-out
anchors the training never saw, and whatever the adapter that serves today holds. What decides is
the adapter with what would be recalled for each message, which is what the chat serves by default;
the adapter alone is told beside it. When all was learnt and only something else moved, the
adapter's scale is lowered by bisection (llama.cpp takes one, so nothing is exported again) and the
largest one that passes is taken.
Nothing is written.

Most measures pass or fail. Perplexity has an aim and a limit: between them the adapter is weakened if
that mends it, and otherwise passes with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trainer.evaluate.metrics import Answer, Wanted, answer, answers, drift, hold, mean, same
from trainer.evaluate.probe import probe
from trainer.evaluate.served_config import Recaller, below
from trainer.evaluate.spillover import Spread
from trainer.evaluate.unlearned import excuse
from trainer.report.report import Change, Measure

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import GateSettings
    from trainer.evaluate.metrics import Held
    from trainer.lessons.anchors import Anchor
    from trainer.lessons.lessons import Curriculum, Lesson, Question

__all__ = ["Spoken", "Verdict", "judge", "listen", "measure", "measures_to_json", "probe", "same"]

SCALE_STEPS = 3
LOWEST_SCALE = 0.75
HALF = 0.5
SHOWN_REWORDED = 40
"""Wrong replies to held-out rephrasings that are generated to their end."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said to every lesson: to its question, to its held-out rephrasings, and to its question
    in other places (`Lesson.places`)."""

    asked: tuple[Answer, ...]
    reworded: tuple[tuple[Answer, ...], ...]
    placed: tuple[tuple[Answer, ...], ...] = ()

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
        """Share of the lessons' questions that get the expected reply, in whatever place."""
        return mean([*self.reproduced, *(one.right for some in self.placed for one in some)])

    @property
    def every(self) -> tuple[Answer, ...]:
        """All answers."""
        many = (*self.reworded, *self.placed)
        return (*self.asked, *(one for some in many for one in some))

    @property
    def rephrasings(self) -> float:
        """Mean share of the held-out rephrasings, over the lessons that have some."""
        pairs = zip(self.reworded, self.rephrased, strict=True)
        return mean([share for some, share in pairs if some])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found at one scale.

    `spoken` is what is said as it will be served, `alone` what the adapter says without recall. `holds`
    are the ids of the differences that it answers for everywhere; those are not recalled any more.
    """

    scale: float
    measures: tuple[Measure, ...]
    spoken: Spoken
    changes: tuple[Change, ...]
    alone: Spoken
    holds: frozenset[str]
    unlearnt: frozenset[str] = frozenset()
    """Ids of the few differences without which all was learnt (`trainer/evaluate/unlearned.py`)."""

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
    recall: Recaller | None = None,
) -> Verdict:
    """Measure `adapter` and return the verdict; lower its scale when only the drift fails.

    `held_now` tells which lessons are reproduced under the adapter that serves today; none of them
    may be lost. `recall` gives what is recalled for a message (None: nothing is). The engine wears no
    adapter when this returns.
    """

    def at(scale: float) -> Verdict:
        return measure(engine, adapter, scale, curriculum, gate, progress, held_now, recall)

    try:
        verdict = at(1.0)
        if not verdict.only_drifts:
            return verdict
        best, low, high = verdict, LOWEST_SCALE, 1.0
        for _ in range(SCALE_STEPS):
            middle = round(math.sqrt(low * high), 3)
            tried = at(middle)
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
    recall: Recaller | None = None,
) -> Verdict:
    """Ask everything once with the adapter at `scale`."""
    engine.set_adapter(adapter, scale)
    lessons = curriculum.lessons
    total = prompts_of(lessons)
    total += len(curriculum.near_misses) + len(curriculum.anchors)
    step = _counter(progress, total)
    alone = listen(engine, lessons, step)
    holds = held_by(lessons, alone)
    served = listen_served(engine, lessons, alone, recall, holds) if recall else alone
    near = hold(engine, curriculum.near_misses, step)
    anchors = hold(engine, curriculum.anchors, step)
    spread = Spread(lessons, curriculum.before)
    changes = (
        *_changes(curriculum.anchors, anchors, spread, near=False),
        *_changes(curriculum.near_misses, near, spread, near=True),
    )
    verdict = Verdict(
        scale=scale,
        measures=_measures(served, alone, near, anchors, changes, gate, held_now),
        spoken=served,
        changes=changes,
        alone=alone,
        holds=holds,
    )
    return excuse(verdict, curriculum.lessons)


def held_by(lessons: Sequence[Lesson], alone: Spoken) -> frozenset[str]:
    """Return the differences whose every lesson is answered right by the adapter alone, wherever it
    was asked, and in half of its held-out wordings."""
    failing: set[str] = set()
    placed = alone.placed or ((),) * len(lessons)
    for number, lesson in enumerate(lessons):
        if lesson.kind == "naming":
            continue
        right = alone.asked[number].right and all(one.right for one in placed[number])
        if not right or alone.rephrased[number] < HALF:
            failing.add(lesson.difference)
    return frozenset(x.difference for x in lessons if x.kind != "naming") - failing


def listen(
    engine: Engine, lessons: Sequence[Lesson], step: Callable[[], None] = lambda: None
) -> Spoken:
    """Return what is said to the lessons under what the engine wears, nothing recalled."""
    asked = answers(engine, [_wanted(lesson, lesson.question) for lesson in lessons], step)
    reworded = answers(engine, _questions(lessons, "held_out"), step, shown=SHOWN_REWORDED)
    placed = answers(engine, _questions(lessons, "places"), step)
    return _by_lesson(lessons, asked, reworded, placed)


def listen_served(
    engine: Engine,
    lessons: Sequence[Lesson],
    alone: Spoken,
    recall: Recaller,
    holds: frozenset[str],
) -> Spoken:
    """Return what is said with what is recalled for each message; where nothing is, it is `alone`."""
    blocks: dict[str, str] = {}

    def again(question: Question, lesson: Lesson, said: Answer) -> Answer:
        if question.text not in blocks:
            blocks[question.text] = recall.served(question.text, holds)
        block, reply = blocks[question.text], len(lesson.chosen)
        prompt = below(engine, recall.settings, question, block, reply)
        if prompt is None:
            return said
        return answer(engine, replace(_wanted(lesson, question), prompt=prompt))

    def all_again(name: str, groups: Sequence[Sequence[Answer]]) -> tuple[tuple[Answer, ...], ...]:
        return tuple(
            tuple(
                again(question, lesson, said)
                for question, said in zip(getattr(lesson, name), some, strict=True)
            )
            for lesson, some in zip(lessons, groups, strict=True)
        )

    return Spoken(
        tuple(again(x.question, x, said) for x, said in zip(lessons, alone.asked, strict=True)),
        all_again("held_out", alone.reworded),
        all_again("places", alone.placed),
    )


def _wanted(lesson: Lesson, question: Question) -> Wanted:
    return Wanted(question.prompt, lesson.chosen, lesson.expected)


def _questions(lessons: Sequence[Lesson], name: Literal["held_out", "places"]) -> list[Wanted]:
    return [_wanted(lesson, question) for lesson in lessons for question in getattr(lesson, name)]


def _by_lesson(
    lessons: Sequence[Lesson],
    asked: Sequence[Answer],
    reworded: Sequence[Answer],
    placed: Sequence[Answer],
) -> Spoken:
    words, places = iter(reworded), iter(placed)
    return Spoken(
        tuple(asked),
        tuple(tuple(next(words) for _ in x.held_out) for x in lessons),
        tuple(tuple(next(places) for _ in x.places) for x in lessons),
    )


def prompts_of(lessons: Sequence[Lesson]) -> int:
    """Return how many prompts `listen` asks."""
    return sum(1 + len(lesson.held_out) + len(lesson.places) for lesson in lessons)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return step


def _changes(
    anchors: Sequence[Anchor], held: Sequence[Held], spread: Spread, *, near: bool
) -> list[Change]:
    return [
        Change(
            anchor.asked,
            anchor.text,
            one.text or "",
            near=near,
            undecided=one.kept,
            spread=spread.carries(anchor.asked, anchor.text, one.text or "", undecided=one.kept),
        )
        for anchor, one in zip(anchors, held, strict=True)
        if not one.strict
    ]


def _measures(
    spoken: Spoken,
    alone: Spoken,
    near: Sequence[Held],
    anchors: Sequence[Held],
    changes: Sequence[Change],
    gate: GateSettings,
    held_now: Sequence[bool],
) -> tuple[Measure, ...]:
    right, rephrased = spoken.lessons, min(spoken.rephrasings, alone.rephrasings)
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
    said: list[Answer | Held] = [*spoken.every, *near, *anchors]
    sound = mean([one.sound for one in said])
    endless = sum(not one.ended for one in said)
    spread = sum(change.spread for change in changes)
    return (
        Measure("lessons", right, gate.lessons, right >= gate.lessons,
                f"lessons reproduced: {_share(right)} (at least {gate.lessons:.0%})"),
        Measure("alone", alone.lessons, gate.lessons, alone.lessons >= gate.lessons,
                f"lessons reproduced without recall: {_share(alone.lessons)} "
                f"(at least {gate.lessons:.0%})"),
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
                f"well-formed replies (not empty, no think tags of their own): "
                f"{_share(sound)} (at least {gate.sound:.0%})", True),
        Measure("endless", endless, gate.endless, endless <= gate.endless,
                f"replies that loop or do not end: {endless} (at most {gate.endless})", True),
        Measure("spread", spread, gate.spread, spread <= gate.spread,
                f"other questions answered in a lesson's words: {spread} (at most {gate.spread})",
                True),
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
