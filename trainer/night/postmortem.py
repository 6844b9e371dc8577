"""Explain the outcome of each lesson, why it failed if it did, and what to do about it.

A lesson can fail in four ways: it was not learned (*repelled*); it was learned too broadly, so that
look-alikes or unrelated answers changed; another lesson was lost; or replies are malformed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory.difference import Difference, State
from memory.sentence import NOTHING, Sentence
from trainer.lessons.journal_snapshot import trained_states
from trainer.report.report import Beside, Fate

if TYPE_CHECKING:
    from memory.settings.settings import Settings
    from trainer.evaluate.baselines import Baselines
    from trainer.gate.publication_verdict import Verdict
    from trainer.lessons.lesson import Lesson
    from trainer.lessons.lessons import Curriculum
    from trainer.night.trials.next_trial import TrialPlan, Tried
    from trainer.night.trials.trial import Trial

STOPPED_REASON = "stopped"
"""Reason of a training that the user stopped (`trainer/fit/training_loop.py`)."""
LONG_REPLY_TOKENS = 120
"""Tokens above which a reply is hard to memorize."""
FEW_REPHRASINGS = 4
"""Number of rephrasings below which other wordings are likely to fail."""


def fates(
    differences: Sequence[Difference], curriculum: Curriculum, best: Trial, baselines: Baselines
) -> tuple[Fate, ...]:
    """Return the fate of every lesson in order, then of the differences that were left out."""
    served = best.verdict.served
    made: list[Fate] = []
    for number, lesson in enumerate(curriculum.lessons):
        answer, held = served.asked[number], baselines.held[number]
        fate = ("held" if held else "learnt") if answer.right else (
            "lost again" if held else "repelled"
        )  # fmt: skip
        cause, what = _why(lesson, fate, served.rephrased[number], best)
        made.append(
            Fate(
                difference=lesson.difference,
                kind=lesson.kind,
                asked=lesson.question.text,
                expected=lesson.expected,
                before=curriculum.before[number],
                after=answer.text,
                fate=fate,
                rephrasings=round(served.rephrased[number], 3),
                current=held,
                recall=baselines.recalled[number],
                reworded=tuple(
                    (question.text, said.text)
                    for question, said in zip(lesson.held_out, served.reworded[number], strict=True)
                    if not said.right
                ),
                cause=cause,
                advice=what,
            )
        )
    return (*made, *_left_out(differences, curriculum))


def _left_out(differences: Sequence[Difference], curriculum: Curriculum) -> list[Fate]:
    made = []
    for item in differences:
        newer, why = curriculum.superseded.get(item.id), curriculum.left_out.get(item.id, NOTHING)
        if newer or why:
            made.append(
                Fate(
                    difference=item.id,
                    kind="contrast",
                    asked=item.asked,
                    expected=item.contrast.sounds or "",
                    before=item.replied,
                    after="",
                    fate=f"superseded by {newer[:8]}" if newer else "left out",
                    cause=why,
                    replaced_by=newer or "",
                )
            )
    return made


def _why(lesson: Lesson, fate: str, rephrased: float, best: Trial) -> tuple[Sentence, Sentence]:
    """Return why a lesson failed and what to do; both are empty if it did not."""
    if fate in ("held", "learnt"):
        if rephrased >= 0.5 or not lesson.held_out:
            return NOTHING, NOTHING
        few = len(lesson.rephrasings) < FEW_REPHRASINGS
        return (
            Sentence("learned only in the original wording"),
            Sentence(
                "only {n} rephrasing was trained: ask again in other words and mark the reply",
                "only {n} rephrasings were trained: ask again in other words and mark the reply",
                n=len(lesson.rephrasings),
            )
            if few
            else Sentence("ask again in the wording that failed and mark the reply"),
        )
    if best.verdict.scale < 1:
        return (
            Sentence(
                "the adapter strength was reduced to {scale:.0%} to keep other answers unchanged",
                scale=best.verdict.scale,
            ),
            Sentence(
                "raise training.anchor_weight so that the adapter can be used at full strength"
            ),
        )
    reason, margin = best.curves.reason, _last(best, lesson.difference)
    if fate == "lost again":
        return (
            Sentence("learned earlier, but lost while training the other lessons"),
            Sentence("raise training.visits, or look for a newer difference that contradicts it"),
        )
    if margin is not None and margin > 0:
        return (
            Sentence(
                "correct in training (ahead by {margin:.1f} nats), but wrong in the evaluation",
                margin=margin,
            ),
            Sentence("raise training.rank or use a smaller learning rate: the margin is too small"),
        )
    if reason == STOPPED_REASON:
        return Sentence("not learned before the training was stopped"), Sentence(
            "let `discern train --force` run to the end"
        )
    if reason in ("steps", "time"):
        ended = {
            "steps": Sentence("the step limit was reached"),
            "time": Sentence("the time limit was reached"),
        }[reason]
        key = "max_minutes" if reason == "time" else "visits"
        return Sentence("not learned before {ended}", ended=ended), Sentence(
            "raise training.{key} or run `discern train` again", key=key
        )
    if len(lesson.chosen) > LONG_REPLY_TOKENS:
        return (
            Sentence(
                "the better answer is too long to memorize ({tokens} tokens)",
                tokens=len(lesson.chosen),
            ),
            Sentence("shorten the better answer to the part that matters"),
        )
    return Sentence("not learned: the base model still prefers its own reply"), Sentence(
        "raise training.rank or training.visits"
    )


def _last(best: Trial, difference: str) -> float | None:
    points = best.curves.margins.get(difference)
    return points[-1][1] if points else None


def advice(
    tried: Tried,
    verdict: Verdict,
    every: Sequence[Fate],
    settings: Settings,
    untried: TrialPlan | None,
) -> tuple[Sentence, ...]:
    """Return what to do about the measures that failed in the best trial, a sentence each.

    `untried` is the trial that the night would have run next.
    """
    failed = {item.name for item in verdict.measures if not item.passed}
    if failed and tried.ended == STOPPED_REASON:
        # The settings are not to blame: there was no time.
        return (
            Sentence("The training was stopped early: run `discern train --force` to train again."),
        )
    made: list[Sentence] = []
    if failed & {"lessons", "rephrasings"}:
        bad = [fate for fate in every if fate.fate == "repelled"]
        made.append(
            Sentence(
                "Not learned: {count}. To fix this, {advice}.",
                count=len(bad),
                advice=(
                    bad[0].advice if bad and bad[0].advice else Sentence("raise training.visits")
                ),
            )
        )
    if "kept" in failed:
        lost = [fate.asked for fate in every if fate.fate == "lost again"]
        made.append(
            Sentence(
                "A lesson learned earlier was lost: “{lost}”. The current adapter is unchanged. To "
                "retry from other starting points, run `discern train --force --episodes 3`.",
                lost=" ".join(lost[0].split())[:60],
            )
            if lost
            else Sentence(
                "A lesson learned earlier was lost. The current adapter is unchanged. To retry "
                "from other starting points, run `discern train --force --episodes 3`."
            )
        )
    if "near_misses" in failed:
        made.append(
            Sentence(
                "Learned too broadly: similar questions also get the new reply. Mark the reply to "
                "one of them with `/diff hold` to keep it."
            )
        )
    spread = next((change.asked for change in verdict.changes if change.spread), "")
    if "spread" in failed and spread:
        made.append(
            Sentence(
                "Learned too broadly: other questions get a better answer that was meant for another "
                "one, such as “{asked}”. Mark that reply with `/diff hold` to keep it.",
                asked=" ".join(spread.split())[:60],
            )
        )
    if failed & {"anchors", "kl", "perplexity", "harmed"}:
        made.append(
            Sentence(
                "Learned too broadly: unrelated answers changed even at {scale:.0%} strength.",
                scale=verdict.scale,
            )
            if verdict.scale < 1
            else Sentence("Learned too broadly: unrelated answers changed.")
        )
    if failed & {"sound", "endless"}:
        made.append(Sentence("Malformed replies: some are empty or do not end."))
    if not verdict.passed:
        made.append(_not_tried(tried.plan, untried, settings))
    return tuple(made)


def _not_tried(plan: TrialPlan, untried: TrialPlan | None, settings: Settings) -> Sentence:
    """Return the advice to run the next trial by hand, in terms of the settings."""
    if untried is None:
        return Sentence(
            "Everything the results suggest was already tried. Shorten the better answers, or use "
            "`/diff hold` on the replies that must not change."
        )
    if untried.without != plan.without:
        named = ", ".join(sorted(name[:8] for name in untried.without))
        return Sentence(
            "Not tried yet: training without {named}, to keep other answers unchanged.", named=named
        )
    if untried.rate != plan.rate:
        return Sentence(
            "Not tried yet: training.learning_rates = [{rate}].", rate=f"{untried.rate:g}"
        )
    if untried.longer != plan.longer:
        visits = round(settings.training.visits * untried.longer)
        return Sentence("Not tried yet: training.visits = {visits}.", visits=visits)
    if untried.anchors != plan.anchors:
        weight = settings.training.anchor_weight * untried.anchors
        return Sentence("Not tried yet: training.anchor_weight = {weight}.", weight=f"{weight:g}")
    return Sentence(
        "Not tried yet: training on the similar questions whose answers changed. Run `discern "
        "train --force`."
    )


def sentence(curriculum: Curriculum, verdict: Verdict, *, dry: bool) -> Sentence:
    """Return the verdict in one sentence."""
    count = len(curriculum.differences)
    right = sum(verdict.served.reproduced)
    lessons = len(curriculum.lessons)
    learnt = Sentence(
        "{right} of {lessons} lessons from {n} difference",
        "{right} of {lessons} lessons from {n} differences",
        right=right,
        lessons=lessons,
        n=count,
    )
    if not verdict.passed:
        return Sentence(
            "Adapter rejected ({learnt} learned): {sentence}.",
            learnt=learnt,
            sentence=verdict.sentence,
        )
    moved = sum(not change.undecided for change in verdict.changes)
    rest = Sentence("nothing else changed")
    if moved:
        rest = Sentence(
            "{n} other answer changed, within the limits of the evaluation",
            "{n} other answers changed, within the limits of the evaluation",
            n=moved,
        )
    said = Sentence("Learned {learnt}; {rest}.", learnt=learnt, rest=rest)
    if verdict.scale != 1:
        said = Sentence(
            "Learned {learnt} at {scale:.0%} strength; {rest}.",
            learnt=learnt,
            scale=verdict.scale,
            rest=rest,
        )
    if verdict.scoped:
        said = Sentence("{said} It is used only for messages related to your marks.", said=said)
    return Sentence("{said} Practice run: nothing was published.", said=said) if dry else said


def capped(best: Trial, settings: Settings) -> Sentence:
    """Return a note on matrices that are too small for the configured rank, "" if there are none."""
    found = best.curves.ended.capped if best.curves.ended else {}
    if not found:
        return NOTHING
    ranks = ", ".join(f"{name} {rank}" for name, rank in sorted(found.items()))
    return Sentence(
        "training.rank is {rank}, which is more than some matrices of this model allow; these use "
        "the highest possible rank: {ranks}",
        rank=settings.training.rank,
        ranks=ranks,
    )


def noise(verdict: Verdict) -> Sentence:
    """Return a note on how much the base's own answers vary; "" if they do not."""
    if not verdict.noise.changed:
        return NOTHING
    return Sentence(
        "evaluated again in a different batch, the base model changes {share:.0%} of its own "
        "answers ({kl:.4f} nats per token); changes of this size are not counted",
        share=verdict.noise.changed,
        kl=verdict.noise.kl,
    )


def rows(verdict: Verdict) -> tuple[Beside, Beside]:
    """Return the rows of the new adapter, alone and as served, to compare with the baselines."""
    alone, served = verdict.alone, verdict.served
    return (
        Beside(Sentence("this adapter"), alone.lessons, alone.rephrasings, "alone"),
        Beside(Sentence("as in the chat"), served.lessons, served.rephrasings, "served"),
    )


def states(fates: Sequence[Fate], held: Sequence[bool], *, published: bool) -> dict[str, State]:
    """Return the state of each trained difference; after a rejection, under the current adapter."""
    trained = [fate for fate in fates if fate.trained]
    return trained_states(
        (fate.difference, fate.good if published else held[number])
        for number, fate in enumerate(trained)
    )
