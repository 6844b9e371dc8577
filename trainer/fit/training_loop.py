"""The training loop, in its own process: a job folder in, a PEFT adapter out.

    python -m trainer.fit FOLDER     run the job in FOLDER
    python -m trainer.fit --serve    run the job of each folder named on a line of standard input

With the second form, the parent can start the slow imports early and try several learning rates with
one load of the base. Events go to standard output, one JSON object per line; the last one of a job has
the phase "trained", "aborted" or "failed". Needs torch, transformers, peft, gguf, safetensors and
numpy, but no tokenizer, llama.cpp or journal.

The base is frozen, and all randomness comes from the seed: the same job, with the same number of CPU
threads and the same precision, gives the same bytes. The best state so far is kept in memory. It is
saved after the last step, when the time is up, and on "stop" (`trainer/fit/job.py`); on "abort" or if
the loss is not finite, nothing is saved. A training that was killed continues from its last checkpoint,
with the result that it would have had (`trainer/fit/resume_training.py`). The parent publishes only
what a "trained" event announced.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.sentence import Sentence, verbatim
from trainer.event_json import message_to_json
from trainer.events import (
    Aborted,
    BaseLoading,
    Failed,
    Ready,
    Step,
    Trained,
    WorkerMessage,
)
from trainer.fit.batch_sampler import STILL_ENOUGH, Sampler, Standing
from trainer.fit.job import Job, read_control, read_job
from trainer.fit.lr_schedule import step_size
from trainer.fit.model.lora_model import save_adapter, with_adapter
from trainer.fit.resume_training import Checkpoint
from trainer.fit.training_state import RunState, TrainingState

if TYPE_CHECKING:
    from trainer.fit.step import Outcome

CLIP = 1.0
COOL_DOWN = (16, 0.3)
"""Steps of the final decay of the learning rate: at least, and as a share of the steps before."""
SURVEY_FROM = 0.6
"""Share of right samples in the latest steps from which surveys are made: everything is evaluated."""
SURVEY_PAUSE, SAMPLES_PER_SURVEY_STEP = 15, 16
"""Least steps between two surveys, and samples per step between them. Evaluating a sample costs about
a third of training on it."""
PROBED = 96
"""Samples of the panel that are evaluated first: the others are only if these are settled."""
RESTART_STEPS, MIN_ROUND_GAIN = 24, 0.02
"""Steps for which the learning rate rises again if, after the decay, an original question is not firm
or too many anchors are changed, and the least gain of a round (`Standing.score`) for another one."""


class UnstableError(Exception):
    """The loss is not finite."""


class AbortedError(Exception):
    """The parent aborted the job."""


def main(arguments: Sequence[str]) -> int:
    """Run the jobs; return 0, or 1 if one failed."""
    import peft  # noqa: F401  # slow imports, while the parent still composes
    import torch
    import transformers  # noqa: F401

    if threading.current_thread() is threading.main_thread():
        # Signals of a terminal reach the whole process group; only the parent handles them.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(RuntimeError):  # already set, if several jobs share a process
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
            emit(Failed(_reason(error), _kind(error)))
            failed = True
    return int(failed)


def _reason(error: Exception) -> Sentence:
    from memory.errors import DiscernError

    if isinstance(error, DiscernError):
        return error.sentence
    name = "" if isinstance(error, UnstableError) else f"{type(error).__name__}: "
    return verbatim(f"{name}{error}")


def _kind(error: Exception) -> str:
    from memory.errors import DiscernError
    from trainer.fit.micro_batches import out_of_memory

    if isinstance(error, UnstableError):
        return "unstable"
    if isinstance(error, DiscernError):
        return "refused"
    return "memory" if out_of_memory(error) else "error"


def emit(message: WorkerMessage) -> None:
    """Print an event or a message for the parent process."""
    print(json.dumps(message_to_json(message)), flush=True)  # noqa: T201  # standard output is the channel


def fit(job: Job, loaded: dict[Path, Any] | None = None) -> None:
    """Train one adapter and save it into `job.output` in PEFT's layout.

    `loaded` keeps the base between jobs.

    Raises:
        UnstableError: the loss is not finite; nothing is saved.
        AbortedError: the parent aborted the job; nothing is saved.
        MemoryError: a single sample does not fit into memory.
        ModelError: the base cannot be read.
    """
    import torch

    began = time.perf_counter()
    checkpoint = Checkpoint(job)
    if done := checkpoint.finished():
        emit(done)
        return
    recipe = job.recipe
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = {} if loaded is None else loaded
    model = with_adapter(job, loaded, device, lambda: emit(BaseLoading(device)))
    capped = dict(model.peft_config["default"].rank_pattern)
    try:
        training = TrainingState(model, job, device, emit)
        emit(training.prepare(checkpoint))
        run = _train(training, checkpoint, began)
        save_adapter(model, job, run.best)
    finally:
        loaded[job.base] = model.unload()
    event = Trained(
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
    checkpoint.finish(event)
    emit(event)


def _train(training: TrainingState, checkpoint: Checkpoint, began: float) -> RunState:
    import torch

    run, schedule, sampler = training.run, training.schedule, training.sampler
    lessons, trained, optimiser = training.lessons, training.trained, training.optimiser
    panel = training.panel
    pause = max(SURVEY_PAUSE, len(panel) // SAMPLES_PER_SURVEY_STEP)
    loop = time.perf_counter() - run.stepping

    def survey() -> Standing:
        """Evaluate the panel, and keep this state if it is the best."""
        _record(sampler, training.stepper.evaluate(panel))
        run.surveyed_at = run.step
        standing = sampler.standing(panel)
        run.keep_if_best(standing, trained)
        return standing

    def settled() -> bool:
        """Whether lessons are learned and anchors unchanged: in a part of the panel, then in all."""
        some = panel[:PROBED]
        if len(some) < len(panel):
            _record(sampler, training.stepper.evaluate(some))
            run.surveyed_at = run.step
            if not sampler.standing(some).settled:
                return False
        return survey().settled

    def another_round() -> bool:
        """Start another round if something is missing and the last one helped; return whether."""
        before, _drift = run.best_score
        standing = survey()
        run.rounds -= 1
        wanted = standing.firm < 1 or standing.still < STILL_ENOUGH
        helped = standing.score[0] >= before + MIN_ROUND_GAIN
        if not (wanted and helped and run.rounds > 0):
            return False
        return schedule.restart(RESTART_STEPS, training.recipe.max_steps)

    while not schedule.over or another_round():
        step = run.step + 1
        rate = training.recipe.learning_rate * schedule.take()
        for group in optimiser.param_groups:
            group["lr"] = rate
        some, held = sampler.draw(*step_size(lessons, sampler.share, sampler.still))
        outcome = training.stepper([*some, *held], step)
        norm = torch.nn.utils.clip_grad_norm_(trained, CLIP)
        if not (math.isfinite(outcome.loss) and math.isfinite(norm.item())):
            raise UnstableError(f"the loss is {outcome.loss} at step {step}")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _record(sampler, outcome)
        sampler.note_step(list(outcome.margins.values()))
        run.step, run.tokens = step, run.tokens + outcome.tokens
        run.stepping = time.perf_counter() - loop
        _report_step(run, schedule.steps, outcome, sampler, rate, training.device)
        word = read_control(training.job)
        if word == "abort":
            raise AbortedError
        if word == "stop":
            run.reason = "stopped"
        elif time.perf_counter() - began > training.recipe.max_seconds:
            run.reason = "time"
        else:
            due = step >= run.surveyed_at + pause and sampler.recent >= SURVEY_FROM
            # Ending as soon as the lessons are right would leave the changed anchors as they are.
            if due and not schedule.shortened and settled():
                schedule.shorten(max(COOL_DOWN[0], round(COOL_DOWN[1] * step)))
            checkpoint.save_if_due(training.tensors, training.values)
            continue
        survey()
        break
    else:
        run.reason = "learnt" if schedule.shortened else "steps"
    return run


def _record(sampler: Sampler, outcome: Outcome) -> None:
    sampler.record_margins(list(outcome.margins), list(outcome.margins.values()))
    sampler.record_divergences(list(outcome.divergences), list(outcome.divergences.values()))


def _report_step(
    run: RunState, steps: int, outcome: Outcome, sampler: Sampler, rate: float, device: str
) -> None:
    """Emit the event of a step.

    It has the margins of the differences and the results of the lessons that the step trained.
    """
    emit(
        Step(
            step=run.step,
            steps=steps,
            loss=round(outcome.loss, 5),
            chosen=round(outcome.chosen, 5),
            contrast=round(outcome.contrast, 5),
            anchor=round(outcome.anchor, 5),
            hidden=round(outcome.hidden, 5),
            learnt=round(sampler.share, 4),
            margins=sampler.margins(list(outcome.margins)),
            lessons=sampler.lessons(list(outcome.margins)),
            tokens_per_second=round(run.tokens / max(1e-9, run.stepping)),
            memory_mb=_memory(device),
            rate=rate,
        )
    )


def _memory(device: str) -> int:
    """Return the peak memory so far in MiB, of the GPU or else of the process."""
    import resource

    import torch

    if device == "cuda":
        return int(torch.cuda.max_memory_allocated() >> 20)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most >> (20 if sys.platform == "darwin" else 10))
