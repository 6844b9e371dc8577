"""The parts of a training, its progress, and its best state so far; a checkpoint holds all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trainer.events import BatchHalved, StepsPlanned, WorkerMessage
from trainer.fit.batch_sampler import Sampler, Standing
from trainer.fit.job import ANCHOR, Job, Recipe, Sample
from trainer.fit.lora_init import informed_init
from trainer.fit.lr_schedule import Schedule, steps_for
from trainer.fit.resume_training import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.step import Stepper

ROUNDS = 5
"""Most rounds of a training; each one ends when the learning rate has decayed."""
SURVEYED, SHARE_SURVEYED = 256, 0.25
"""Samples of a survey, at least and as a share: a panel that is the same throughout a training."""


@dataclass(slots=True)
class RunState:
    """The progress of the training, and the best state so far by `Standing.score`."""

    step: int = 0
    tokens: int = 0
    stepping: float = 0.0
    reason: str = "steps"
    rounds: int = ROUNDS
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_step: int = 0
    surveyed_at: int = 0
    """The step of the last survey."""
    learnt: float = 0.0
    """Share of right wordings in the best state."""
    best: list[Tensor] = field(default_factory=list)

    def keep_if_best(self, standing: Standing, trained: Sequence[Tensor]) -> None:
        """Keep the parameters `trained` if this state is the best."""
        if standing.score > self.best_score:
            self.best_score, self.best_step = standing.score, self.step
            self.learnt = standing.learned
            self.best = [parameter.detach().clone() for parameter in trained]


class TrainingState:
    """The parts of a training: samples, sampler, model, optimiser, learning rate and progress."""

    def __init__(
        self, model: Any, job: Job, device: str, on_event: Callable[[WorkerMessage], None]
    ) -> None:
        """Build the parts; smaller batches after a lack of memory are reported to `on_event`."""
        import torch

        from trainer.fit.step import Stepper

        recipe = self.recipe = job.recipe
        self.job, self.device = job, device
        self.lessons = [sample for sample in job.samples if sample.lesson != ANCHOR]
        self.anchors = [
            sample for sample in job.samples if sample.lesson == ANCHOR and recipe.anchor_weight > 0
        ]
        self.sampler = Sampler(self.lessons, self.anchors, recipe.seed)
        count = len(self.lessons) + len(self.anchors)
        self.panel = self.sampler.panel(max(SURVEYED, round(SHARE_SURVEYED * count)), recipe.seed)
        self.stepper = Stepper(
            model, recipe, device, lambda size: on_event(BatchHalved(size, "memory"))
        )
        self.stepper.lower.arrange([*self.lessons, *self.anchors])
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.trained, lr=recipe.learning_rate, weight_decay=0.0)
        self.schedule = Schedule(steps_for(recipe, self.lessons))
        self.run = RunState()

    def prepare(self, checkpoint: Checkpoint) -> StepsPlanned:
        """Resume from the checkpoint, or initialise the adapter; return the planned steps."""
        import torch

        began = time.perf_counter()
        saved = checkpoint.load()
        if saved is None:
            _choose(self.stepper, self.recipe, self.lessons, self.device)
        else:
            self._restore(*saved)
        if self.recipe.preference_weight > 0:
            self.stepper.compute_base_log_probabilities(self.lessons)
        if saved is None:
            informed_init(self.stepper, self.lessons, self.anchors)
        return StepsPlanned(
            step=self.run.step,
            steps=self.schedule.steps,
            threads=torch.get_num_threads(),
            precision="bfloat16" if self.stepper.reduced else "float32",
            seconds=round(time.perf_counter() - began, 3),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint."""
        found = {f"adapter.{n}": value.detach() for n, value in enumerate(self.trained)}
        found |= {f"best.{n}": value for n, value in enumerate(self.run.best)}
        for number, parameter in enumerate(self.trained):
            for name, value in self.optimiser.state[parameter].items():
                found[f"{name}.{number}"] = value
        return found

    def values(self) -> dict[str, Any]:
        """Return the rest of a checkpoint, as JSON values."""
        import torch

        run = asdict(replace(self.run, best=[]))
        return {
            "run": run,
            "sampler": self.sampler.state(),
            "schedule": self.schedule.state(),
            "threads": torch.get_num_threads(),
            "reduced": self.stepper.reduced,
            "part": self.stepper.micro_batches.size,
        }

    def _restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        import torch

        torch.set_num_threads(values["threads"])
        self.stepper.use_precision(values["reduced"])
        self.stepper.micro_batches.size = values["part"]
        self.sampler.restore(values["sampler"])
        self.schedule.restore(values["schedule"])
        best_score = tuple(values["run"]["best_score"])
        self.run = replace(RunState(**values["run"]), best_score=best_score)
        with torch.no_grad():
            for number, parameter in enumerate(self.trained):
                parameter.copy_(tensors[f"adapter.{number}"])
                if f"best.{number}" in tensors:
                    self.run.best.append(tensors[f"best.{number}"].to(parameter))
                self.optimiser.state[parameter] = {
                    name: tensors[f"{name}.{number}"].to(
                        parameter.device if name != "step" else "cpu"
                    )
                    for name in ("step", "exp_avg", "exp_avg_sq")
                    if f"{name}.{number}" in tensors
                }


def _choose(stepper: Stepper, recipe: Recipe, lessons: Sequence[Sample], device: str) -> None:
    """Choose the precision and threads by timing, unless configured, and the micro-batch size."""
    from trainer.fit.autotune import choose_micro_batch_size, choose_precision, choose_threads

    stepper.use_precision(choose_precision(stepper, recipe, device))
    stepper.micro_batches.size = choose_micro_batch_size(stepper, lessons, device)
    choose_threads(stepper, recipe, lessons, device)
