"""Time the decoding of a few tokens and a training step, at the current load of the machine.

Both use the components of the night: the engine that asks the base, and the training process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memory.errors import CutOffError, TrainingError
from trainer.events import BatchHalved, Event, Step, StepsPlanned, Trained
from trainer.fit.hyperparameters import Overrides, recipe_of
from trainer.fit.job import ANCHOR, Job, Sample, write_job
from trainer.fit.model.base_model import count_layers

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import Settings
    from trainer.launch.launch import Launcher

TEXT = (
    "Every evening the keeper of the lighthouse wrote down the weather, the ships that had passed "
    "and what the sea had left on the stones, so that nothing of the day would be lost."
)
PROMPT, DECODED = 12, 16
"""Tokens evaluated first, and tokens decoded one by one."""
CALIBRATION_STEPS = 3
CALIBRATION_SAMPLES = 4
"""Number of training steps, and of lesson samples and anchors to train on. The first step is not timed:
it fills caches."""


def time_decoding(engine: Engine) -> float:
    """Return the seconds in which the engine decodes DECODED tokens one by one."""
    tokens = engine.tokenize(TEXT)
    while len(tokens) <= PROMPT + DECODED:
        tokens += tokens
    list(engine.log_probabilities(tokens[: PROMPT + 1], PROMPT))
    began = time.perf_counter()
    for size in range(PROMPT + 1, PROMPT + 1 + DECODED):
        list(engine.log_probabilities(tokens[: size + 1], size))
    return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class TimedStep:
    """Seconds to load the base's weights, to prepare a training, and to train on a token."""

    base: float
    prepare: float
    token: float


def time_training(
    launcher: Launcher,
    folder: Path,
    base: Path,
    settings: Settings,
    samples: Sequence[Sample],
    on_event: Callable[[Event], None],
) -> TimedStep | None:
    """Train for CALIBRATION_STEPS steps on some of `samples` in `folder`, which is removed afterwards.

    Return None if that fails: the training itself will report why. `on_event` receives the events, and
    may raise an exception to end it.

    Raises:
        CutOffError: the training process was killed.
    """
    some = _some(samples)
    layers = count_layers(base)
    folder.mkdir(parents=True, exist_ok=True)
    began, planned, steps = time.perf_counter(), StepsPlanned(0, 0, 0, "", 0.0), list[float]()
    load = 0.0
    try:
        recipe = recipe_of(settings.training, layers, Overrides(steps=CALIBRATION_STEPS))
        write_job(folder, Job(base.resolve(), folder / "adapter", recipe, some))
        for event in launcher.fit(folder):
            on_event(event)
            moment = time.perf_counter() - began
            if isinstance(event, StepsPlanned):
                planned, load = event, moment
            elif isinstance(event, Step):
                steps.append(moment)
            elif isinstance(event, Trained) and event.tokens and len(steps) > 1:
                step = (steps[-1] - steps[0]) / (len(steps) - 1)
                token = step / (event.tokens / event.steps)
                return TimedStep(max(0.0, load - planned.seconds), planned.seconds, token)
    except CutOffError:
        raise
    except TrainingError:
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def warned(event: Event) -> bool:
    """Whether an event of the timed training is shown to the user."""
    return isinstance(event, BatchHalved)


def _some(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return CALIBRATION_SAMPLES lesson samples and as many anchors, short and long ones."""
    made: list[Sample] = []
    for anchor in (False, True):
        group = [sample for sample in samples if (sample.lesson == ANCHOR) is anchor]
        group.sort(key=lambda sample: len(sample.tokens) + len(sample.rejected))
        step = max(1, len(group) // CALIBRATION_SAMPLES)
        made += group[step // 2 :: step][:CALIBRATION_SAMPLES]
    return tuple(made)
