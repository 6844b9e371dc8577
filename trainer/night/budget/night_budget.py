"""The time budget of one run: estimated before the base is asked, and kept within its limit.

A run that would take longer than `night.max_minutes` asks fewer prompts and trains for a shorter time
(`trainer/night/budget/shorten_night.py`). The training comes late and absorbs errors of the estimate:
it gets the time that is left before its evaluation.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memory.errors import TrainingError
from memory.sentence import NOTHING, Sentence
from trainer.events import (
    Calibrating,
    Counted,
    Estimated,
    Event,
    StepsPlanned,
    Trained,
    TrialStarted,
)
from trainer.lessons.lesson import Asker
from trainer.lessons.lessons import samples_of
from trainer.night.budget import calibration
from trainer.night.budget.duration_estimate import Estimate, completed, estimate
from trainer.night.budget.measured_pace import Pace, keep_pace, read_pace
from trainer.night.budget.shorten_night import LEAST_TRAINING, cuts, reduced
from trainer.night.budget.work_amount import IN_CONTEXT_COST, IN_CONTEXT_SHARE, Sizes, Work
from trainer.stages import by_stage

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.paths import Home
    from memory.settings.settings import Settings
    from trainer.launch.launch import Launcher
    from trainer.lessons.anchors.base_answers import Anchor, BaseAnswers
    from trainer.lessons.lessons import CurriculumPlan
    from trainer.night.run import Run

CUT_OFF = ("stopped", "time")
"""Reasons of a training that ended before it was done; it does not show how many steps one takes."""
PLANNED_SHARE = 0.92
"""Share of the limit that is planned; an estimate is not exact."""
PATIENT = 1.3
"""A run is started if its estimate is at most this many times its limit."""
WARMED, CALIBRATED = 4, 32
CALIBRATION_SECONDS = 20.0
"""Number of answers of the base before the timed ones, most timed answers, and the most seconds that
they should take."""
MORE_TO_PREPARE = 1.5
"""Cost of preparing a complete training, relative to preparing the timed one."""
FEWEST_TIMED = 16
"""Least number of answers from which their pace is stored."""


@dataclass(slots=True)
class NightBudget:
    """The estimate of one run, and its remaining time.

    `tries` is the most trials that the run may make; a practice makes all of them (`all_tries`).
    """

    run: Run
    home: Home
    settings: Settings
    sha256: str
    tries: int
    all_tries: bool
    known: Pace = field(init=False)
    pace: Pace = field(init=False)
    now: Pace = field(default_factory=Pace)
    expected: Estimate | None = None
    announced: Estimated | None = None
    left_out: list[Sentence] = field(default_factory=list)
    work: Work | None = None
    counts: Counter[str] = field(default_factory=Counter)
    resumed: bool = False
    """Whether a training was resumed, so that its times are not representative."""
    _done: dict[str, int] = field(default_factory=dict)
    _answers: BaseAnswers | None = None
    _asked: int = 0
    _loaded: float = 0.0
    """Seconds in which the calibration loaded the weights, so that the trials need not."""

    def __post_init__(self) -> None:
        """Read what earlier runs measured."""
        self.known = self.pace = read_pace(self.home, self.sha256)

    @property
    def limit(self) -> float:
        """Seconds that the run has."""
        return self.settings.night.max_minutes * 60

    @property
    def left(self) -> float:
        """Seconds that are left of the planned time."""
        return self.limit * PLANNED_SHARE - (time.perf_counter() - self.run.began)

    # --- before it starts --------------------------------------------------------------------

    def planner(
        self, engine: Engine, launcher: Launcher, base: Path, *, current: bool
    ) -> Callable[[CurriculumPlan, BaseAnswers], CurriculumPlan]:
        """Return a function that reduces a plan to what there is time for.

        It calibrates and emits the estimate. `current` tells whether there is a current adapter, which
        is measured too. The function raises TrainingError if not even the minimum fits the limit.
        """

        def choose(plan: CurriculumPlan, answers: BaseAnswers) -> CurriculumPlan:
            self.run.emit(Calibrating())
            self._calibrate(engine, launcher, base, plan, answers)
            sizes = Sizes.of(plan, base, self.settings, current=current)
            ask = Asker(engine, self.settings)
            known: dict[str, bool] = {}

            def is_known(text: str) -> bool:
                if text not in known:
                    known[text] = answers.known(ask(text).prompt)
                return known[text]

            chosen = self._choose(plan, is_known, sizes)
            self._answers, self._asked = answers, answers.computed
            return chosen

        return choose

    def _calibrate(
        self,
        engine: Engine,
        launcher: Launcher,
        base: Path,
        plan: CurriculumPlan,
        answers: BaseAnswers,
    ) -> None:
        probe = calibration.time_decoding(engine)
        self.now = replace(self.now, probe=probe)
        self.run.check()
        anchors: tuple[Anchor, ...] = ()
        if not self.known.answer or not self.known.measured:
            # These answers are needed anyway, and are cached. The first ones are not timed because they
            # include one-time work (batching, choosing the number of threads).
            fits = CALIBRATION_SECONDS / max(1e-6, 3 * probe)
            ask = Asker(engine, self.settings)
            pairs = [(text, ask(text).prompt) for text in plan.held.trained]
            fresh = [pair for pair in pairs if not answers.known(pair[1])]
            fresh = fresh[: WARMED + max(2, min(CALIBRATED, round(fits)))]
            anchors = tuple(answers.get(fresh[:WARMED] or pairs[:WARMED]))
            before, began = answers.computed, time.perf_counter()
            anchors += tuple(answers.get(fresh[WARMED:]))
            took, made = time.perf_counter() - began, answers.computed - before
            self.now = replace(self.now, answer=took / made if made else 3 * probe)
            self.run.check()
        if self.known.measured or self.settings.trainer.launcher != "local":
            return
        samples = samples_of(plan.lessons, anchors)

        def hear(event: Event) -> None:
            if calibration.warned(event):
                self.run.emit(event)
            self.run.check()

        folder = self.run.folder / "calibration"
        timed = calibration.time_training(launcher, folder, base, self.settings, samples, hear)
        self.run.check()
        if timed is not None:
            # The training process has the weights now.
            self._loaded = timed.base
            self.now = replace(self.now, load=MORE_TO_PREPARE * timed.prepare, token=timed.token)

    def _choose(
        self, plan: CurriculumPlan, known: Callable[[str], bool], sizes: Sizes
    ) -> CurriculumPlan:
        """Return the plan after the first cut that fits; see `choice.cuts`."""
        spent = time.perf_counter() - self.run.began
        pace = completed(self.known, self.now)
        self.pace = pace = _with_guesses(pace)
        room = self.limit * PLANNED_SHARE
        chosen, kept, work, expected = plan, 1.0, None, None
        for share, training in cuts():
            chosen, kept = reduced(plan, known, share), training
            work = sizes.work(chosen, known)
            expected = estimate(work, pace, spent)
            needed = expected.seconds_for(1) - (1 - kept) * expected.stages["train"]
            if needed <= room:
                break
        else:
            if needed > self.limit * PATIENT:
                raise TrainingError(
                    "this model needs about {needed:.0f} minutes for the shortest useful "
                    "training, but night.max_minutes is {minutes:g}; raise it in config.toml or "
                    "use a smaller model",
                    needed=needed / 60,
                    minutes=self.settings.night.max_minutes,
                )
        assert expected is not None
        stages = {**expected.stages, "train": expected.stages["train"] * kept}
        self.work, self.expected = work, Estimate(stages)
        tries = self.tries if self.all_tries else min(self.tries, max(1, round(pace.tries)))
        while tries > 1 and self.expected.seconds_for(tries) > room:
            tries -= 1
        self._record_what_is_left_out(plan, chosen, kept)
        self.announced = Estimated(
            seconds=round(self.expected.seconds_for(tries), 1),
            limit=round(self.limit, 1),
            tries=tries,
            earlier=self.known.measured,
            stages={name: round(value, 2) for name, value in self.expected.by_stage(tries).items()},
            left_out=self.left_out[0] if self.left_out else NOTHING,
        )
        self.run.emit(self.announced)
        return chosen

    def _record_what_is_left_out(
        self, plan: CurriculumPlan, chosen: CurriculumPlan, training: float
    ) -> None:
        fewer = plan.held.count - chosen.held.count
        if not fewer and training == 1:
            return
        minutes = self.settings.night.max_minutes
        asked = Sentence(
            "{n} of {all} questions whose answers must not change is left out (the least "
            "informative one)",
            "{n} of {all} questions whose answers must not change are left out (the least "
            "informative ones)",
            n=fewer,
            all=plan.held.count,
        )
        shorter = Sentence("training time is reduced to {share:.0%}", share=training)
        what = shorter if not fewer else asked
        if fewer and training < 1:
            what = Sentence("{asked}, and {shorter}", asked=asked, shorter=shorter)
        self.left_out.append(
            Sentence(
                "to finish within {minutes:g} minutes (night.max_minutes), {what}",
                minutes=minutes,
                what=what,
            )
        )

    # --- while it runs -----------------------------------------------------------------------

    def asking_is_over(self) -> bool:
        """Whether there is no time left to ask the base."""
        expected = self.expected
        if expected is None:
            return False
        after = expected.stages["beside"] + expected.stages["publish"] + expected.testing
        return self.left < after + LEAST_TRAINING * expected.stages["train"]

    @property
    def training_seconds(self) -> float:
        """Seconds that the next training may take: what is left before its evaluation."""
        most = self.settings.training.max_minutes * 60
        if self.expected is None:
            return most
        after = self.expected.stages["publish"] + self.expected.testing
        least = LEAST_TRAINING * self.expected.stages["train"]
        return max(1.0, least, min(most, self.left - after))

    @property
    def allows_another_try(self) -> bool:
        """Whether another trial would end in time."""
        if self.expected is None:
            return True
        one = self.expected.testing + self.expected.stages["train"] * 0.6
        return self.left >= one + self.expected.stages["publish"]

    def skip(self, change: Sentence) -> None:
        """Record that a trial is skipped for lack of time; `change` is what is different in it."""
        minutes = self.settings.night.max_minutes
        self.left_out.append(
            Sentence(
                "skipped another attempt ({change}): it would not have finished within "
                "{minutes:g} minutes (night.max_minutes)",
                change=change,
                minutes=minutes,
            )
            if change
            else Sentence(
                "skipped another attempt: it would not have finished within {minutes:g} minutes "
                "(night.max_minutes)",
                minutes=minutes,
            )
        )

    @property
    def allows_another_scale(self) -> bool:
        """Whether there is time for another evaluation at a lower adapter strength."""
        expected = self.expected
        return expected is None or self.left >= expected.stages["gate"] + expected.stages["publish"]

    def hear(self, event: Event) -> None:
        """Count the work of the run from its events."""
        match event:
            case Counted(phase=phase, done=done):
                before = self._done.get(phase, 0)
                self.counts[phase] += done - before if done >= before else done
                self._done[phase] = done
            case TrialStarted():
                self.counts["tries"] += 1
            case StepsPlanned(steps=steps):
                self.counts["planned"] += steps
            case Trained(steps=steps, tokens=tokens, reason=reason):
                self.counts["steps"] += steps
                self.counts["tokens"] += tokens
                self.counts["cut off"] += reason in CUT_OFF

    # --- afterwards --------------------------------------------------------------------------

    @property
    def estimated(self) -> tuple[tuple[str, float], ...]:
        """The estimate by stage, for the report."""
        return tuple(self.announced.stages.items()) if self.announced else ()

    def end(self) -> None:
        """Store the measurements of this run for the next one on this model and machine."""
        if self.work is None or self._answers is None:
            return
        took, counts, old = by_stage(self.run.phase_seconds()), self.counts, self.pace
        tries = max(1, counts["tries"])

        def per(stage: str, count: float, before: float) -> float:
            return took[stage] / count if took.get(stage) and count else before

        computed = self._answers.computed - self._asked
        weighted = computed * (1 + IN_CONTEXT_SHARE * IN_CONTEXT_COST) / (1 + IN_CONTEXT_SHARE)
        made = replace(
            old,
            probe=self.now.probe or old.probe,
            baseline=per("beside", counts["beside"], old.baseline),
            gate=per("gate", counts["gate"], old.gate),
            export=per("export", tries, old.export),
            publish=per("publish", 1, old.publish),
        )
        if computed >= FEWEST_TIMED:
            made = replace(made, answer=per("anchors", weighted, old.answer))
        elif not computed:
            made = replace(made, held=per("anchors", self.work.prompts, old.held))
        if not self.resumed and counts["tokens"] and counts["steps"]:
            made = replace(
                made,
                load=per("load", tries, old.load) + self._loaded / tries,
                tokens=self.work.tokens,
                token=per("train", counts["tokens"], old.token),
                steps=self.known.steps
                if counts["cut off"]
                else counts["steps"] / counts["planned"],
                step_tokens=counts["tokens"] / counts["steps"],
                tries=float(tries),
            )
        keep_pace(self.home, self.sha256, made)


def _with_guesses(pace: Pace) -> Pace:
    """Return a pace with missing times guessed from the decoding speed."""
    one = pace.probe / calibration.DECODED
    guess = {
        "answer": pace.answer or 40 * one,
        "held": pace.held or 0.002,
        "load": pace.load or 5 + 200 * one,
        "token": pace.token or 0.7 * one,
        "export": pace.export or 3 + 60 * one,
        "publish": pace.publish or 2 + 40 * one,
    }
    return completed(replace(pace, **guess), Pace())
