"""The training loop: a job folder in, a PEFT adapter out. Runs as a process of its own.

    python -m trainer.fit FOLDER     fit the job in FOLDER
    python -m trainer.fit --serve    fit the job of each folder named on a line of standard input

The second form lets the parent start the slow imports early and try several learning rates with one
load of the base. Events go to standard output, one JSON object a line; the last of a job has the
phase "trained", "aborted" or "failed". Needs torch, transformers, peft, gguf, safetensors and numpy,
nothing else: neither a tokenizer nor llama.cpp nor the journal.

The base stays frozen and the seed fixes everything: on one number of CPU threads and in one precision
the same job gives the same bytes. The best state so far is kept in memory; "stop"
(`trainer/fit/job.py`), the time budget and the last step save that one, "abort" and a loss that is
no number save nothing.
Nothing survives a crash; the parent publishes only what a "trained" event announced.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.events import (
    Aborted,
    BaseLoading,
    BatchHalved,
    Failed,
    Message,
    Ready,
    Step,
    StepsPlanned,
    Trained,
    message_to_json,
)
from trainer.fit.job import ANCHOR, Job, Recipe, Sample, asked_for, read_job
from trainer.fit.lora_init import listen
from trainer.fit.lora_model import save_adapter, with_adapter
from trainer.fit.lr_schedule import Schedule, settling_size, step_size, steps_for
from trainer.fit.sampler import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.step import Outcome, Stepper

CLIP = 1.0
ENOUGH = 0.95
"""Share of lesson samples that, come out right, brings the end nearer."""
ALL_ASKED = 0.98
"""The same for the questions as they were asked; both must hold."""
COOL_DOWN = (16, 0.3)
"""Steps that the rate takes to fall from there on, at least, and as a share of those before. All
anchors are asked first, and a step then holds more of them: what moved is put back."""
ROUNDS, AGAIN, STILL_ENOUGH = 3, 24, 0.99
"""When the rate has fallen and a question as it was asked is not firm, or fewer anchors are still, the
rate rises once more for so many steps, at most so many times; also where the steps ran out before."""
CHECK = 5
"""Steps between two looks at whether this is the best state so far."""


class UnstableError(Exception):
    """The loss is no longer a number."""


class AbortedError(Exception):
    """The parent wants nothing of this job any more."""


def main(arguments: Sequence[str]) -> int:
    """Run the jobs; returns 0, or 1 when one failed."""
    import peft  # noqa: F401  # the slow part of starting, done while the parent still composes
    import torch
    import transformers  # noqa: F401

    if threading.current_thread() is threading.main_thread():
        # What a terminal says reaches the whole group; the parent decides what becomes of us.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(RuntimeError):  # settled already, where several jobs share a process
        torch.set_num_interop_threads(1)
    emit(Ready())
    loaded: dict[Path, Any] = {}
    failed = False
    lines = (line.strip() for line in sys.stdin) if arguments[0] == "--serve" else arguments
    for line in lines:
        try:
            fit(read_job(Path(line)), loaded)
        except AbortedError:
            emit(Aborted())
        except Exception as error:
            kind = _kind(error)
            plain = kind in ("refused", "unstable")
            reason = str(error) if plain else f"{type(error).__name__}: {error}"
            emit(Failed(reason, kind))
            failed = True
    return int(failed)


def _kind(error: Exception) -> str:
    from memory.errors import DiscernError
    from trainer.fit.step import out_of_memory

    if isinstance(error, UnstableError):
        return "unstable"
    if isinstance(error, DiscernError):
        return "refused"
    return "memory" if out_of_memory(error) else "error"


def emit(message: Message) -> None:
    """Print an event or a message for the parent process."""
    print(json.dumps(message_to_json(message)), flush=True)  # noqa: T201  # standard output is the channel


def fit(job: Job, loaded: dict[Path, Any] | None = None) -> None:
    """Train one adapter and save it into `job.output` in PEFT's layout.

    `loaded` keeps the base between jobs.

    Raises:
        UnstableError: the loss is not a number any more; nothing is saved.
        AbortedError: the parent asked for that; nothing is saved.
        MemoryError: a single sample does not fit.
        ModelError: the base cannot be read.
    """
    import torch

    began = time.perf_counter()
    recipe = job.recipe
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = {} if loaded is None else loaded
    model = with_adapter(job, loaded, device, lambda: emit(BaseLoading(device)))
    capped = dict(model.peft_config["default"].rank_pattern)
    try:
        run = _train(model, job, device, began)
        save_adapter(model, job, run.best)
    finally:
        loaded[job.base] = model.unload()
    emit(
        Trained(
            folder=str(job.output),
            steps=run.step,
            learnt=round(run.learnt, 4),
            drift=round(-run.best_score[1], 5),
            best_step=run.best_step,
            reason=run.reason,
            rate=recipe.learning_rate,
            capped=capped,
            seconds=round(time.perf_counter() - began, 3),
            step_seconds=round(run.stepping / max(1, run.step), 4),
            tokens=run.tokens,
            memory_mb=_memory(device),
        )
    )


@dataclass(slots=True)
class _Run:
    """Where the training stands, and the best state so far: (learnt and still, −drift) decides."""

    step: int = 0
    tokens: int = 0
    stepping: float = 0.0
    reason: str = "steps"
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_step: int = 0
    surveyed: bool = False
    learnt: float = 0.0
    """Share of the wordings that came out right in the best state."""
    best: list[Tensor] = field(default_factory=list)

    def look(self, plan: Plan, trained: Sequence[Tensor]) -> None:
        """Keep this state if it is the best."""
        learnt = (plan.share + plan.share_as_asked + plan.firm) / 3
        score = (round(learnt, 2) + round(plan.still, 2), -plan.drift)
        if score > self.best_score:
            self.best_score, self.best_step = score, self.step
            self.learnt = plan.share
            self.best = [parameter.detach().clone() for parameter in trained]


def _train(model: Any, job: Job, device: str, began: float) -> _Run:
    import torch

    from trainer.fit.step import Stepper

    recipe = job.recipe
    lessons = [sample for sample in job.samples if sample.lesson != ANCHOR]
    anchors = [
        sample for sample in job.samples if sample.lesson == ANCHOR and recipe.anchor_weight > 0
    ]
    plan = Plan(lessons, anchors, recipe.seed)
    stepper = Stepper(model, recipe, device, lambda part: emit(BatchHalved(part, "memory")))
    threads = _choose(stepper, recipe, lessons[: step_size(lessons)[0]], device)
    if recipe.preference_weight > 0:
        stepper.know_the_base(lessons)
    listen(stepper, lessons, anchors)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = Schedule(steps_for(recipe, lessons))
    size, rounds = step_size(lessons), ROUNDS
    surveyed = [*(sample for sample in lessons if sample.variant == 0), *anchors]
    run, loop = _Run(), time.perf_counter()
    emit(
        StepsPlanned(
            step=0,
            steps=schedule.steps,
            threads=threads,
            precision="bfloat16" if stepper.reduced else "float32",
            seconds=round(loop - began, 3),
        )
    )

    def survey() -> None:
        """Look at every question as it was asked and at every anchor, as they come out now."""
        run.surveyed = True
        _note(plan, stepper.look(surveyed))

    def another_round() -> bool:
        """Look at all that counts, and whether some steps more are wanted."""
        nonlocal rounds
        if not rounds:
            return False
        rounds -= 1
        survey()
        run.look(plan, trained)
        wanted = plan.firm < 1 or plan.still < STILL_ENOUGH
        return wanted and schedule.again(AGAIN, recipe.max_steps)

    while not schedule.over or another_round():
        step = run.step + 1
        rate = recipe.learning_rate * schedule.take()
        for group in optimiser.param_groups:
            group["lr"] = rate
        some, held = plan.draw(*size)
        outcome = stepper([*some, *held])
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
        if not (math.isfinite(outcome.loss) and math.isfinite(norm.item())):
            raise UnstableError(f"the loss is {outcome.loss} at step {step}")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _note(plan, outcome)
        run.step, run.tokens = step, run.tokens + outcome.tokens
        run.stepping = time.perf_counter() - loop
        _tell(run, schedule.steps, outcome, plan, rate, device)
        if plan.share >= ENOUGH and plan.share_as_asked >= ALL_ASKED:
            if not schedule.shortened:
                survey()
                size = settling_size(lessons)
                run.best_score = (-1.0, 0.0)  # states before did not know what had moved
            schedule.shorten(max(COOL_DOWN[0], round(COOL_DOWN[1] * step)))
        word = asked_for(job)
        if word == "abort":
            raise AbortedError
        if word == "stop":
            run.reason = "stopped"
        elif time.perf_counter() - began > recipe.max_seconds:
            run.reason = "time"
        else:
            if step % CHECK == 0:
                run.look(plan, trained)
            continue
        break
    else:
        run.reason = "learnt" if schedule.shortened else "steps"
    if run.surveyed:
        survey()
    run.look(plan, trained)
    return run


def _note(plan: Plan, outcome: Outcome) -> None:
    plan.learnt(list(outcome.margins), list(outcome.margins.values()))
    plan.held(list(outcome.divergences), list(outcome.divergences.values()))


def _tell(run: _Run, steps: int, outcome: Outcome, plan: Plan, rate: float, device: str) -> None:
    """Emit the event of a step; `margins` are those of the differences that it touched, `lessons` how
    the lessons that it touched stand."""
    emit(
        Step(
            step=run.step,
            steps=steps,
            loss=round(outcome.loss, 5),
            chosen=round(outcome.chosen, 5),
            contrast=round(outcome.contrast, 5),
            anchor=round(outcome.anchor, 5),
            hidden=round(outcome.hidden, 5),
            learnt=round(plan.share, 4),
            margins=plan.margins(list(outcome.margins)),
            lessons=plan.lessons(list(outcome.margins)),
            tokens_per_second=round(run.tokens / max(1e-9, run.stepping)),
            memory_mb=_memory(device),
            rate=rate,
        )
    )


def _memory(device: str) -> int:
    """Return the most memory held so far, in MiB: the GPU's, else the process's."""
    import resource

    import torch

    if device == "cuda":
        return int(torch.cuda.max_memory_allocated() >> 20)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most >> (20 if sys.platform == "darwin" else 10))


def _choose(stepper: Stepper, recipe: Recipe, some: Sequence[Sample], device: str) -> int:
    """Choose threads and precision by timing, where they are not fixed; returns the threads."""
    from trainer.fit.autotune import choose_precision, choose_threads

    threads = choose_threads(stepper, recipe, some, device)
    stepper.reduced = choose_precision(stepper, recipe, some, device)
    return threads
