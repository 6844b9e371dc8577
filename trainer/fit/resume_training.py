"""Save the state of a training, so that an interrupted one can resume.

    training.safetensors    the state after some step: the adapter, the best one so far, the optimiser,
                            and as JSON in its header the step, the learning rate and the sampler
    trained.json            the `Trained` event of a finished training

Both are in the folder of the job, are written atomically, and identify the job by a digest of
everything that determines its result. Another job in the same folder ignores them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import FileError
from memory.files.atomic_write import whole, write_whole
from memory.files.bounded_read import read_json
from trainer.event_json import message_to_json, read_message
from trainer.events import Trained
from trainer.fit.job import Job

if TYPE_CHECKING:
    from torch import Tensor

STATE, DONE = "training.safetensors", "trained.json"
SAVE_SECONDS = 20.0
"""Least seconds between two saves."""
MOST_SHARE = 0.03
"""Most of the time that saving may take."""


class Checkpoint:
    """The saved state of one job."""

    def __init__(self, job: Job) -> None:
        self._folder, self._output = job.output.parent, job.output
        self._key = job_digest(job)
        self._saved = time.monotonic()
        self._pause = SAVE_SECONDS

    def save_if_due(
        self, tensors: Callable[[], dict[str, Tensor]], values: Callable[[], dict[str, Any]]
    ) -> None:
        """Save the state that the functions return, if the last save is long enough ago.

        A state that cannot be written is skipped.
        """
        from safetensors.torch import save_file

        began = time.monotonic()
        if began - self._saved < self._pause:
            return
        header = {"job": self._key, "values": json.dumps(values())}
        plain = {name: value.contiguous() for name, value in tensors().items()}
        with suppress(OSError), whole(self._folder / STATE) as part:
            save_file(plain, part, header)
        self._saved = time.monotonic()
        self._pause = max(SAVE_SECONDS, (self._saved - began) / MOST_SHARE)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the last saved state; None if there is none of this job, or it is damaged."""
        from safetensors import safe_open

        try:
            with safe_open(self._folder / STATE, "pt") as file:
                header = file.metadata() or {}
                if header.get("job") != self._key:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(header["values"])
        except Exception:  # any error that a damaged file causes; the training starts anew
            return None

    def finish(self, event: Trained) -> None:
        """Record how the training ended, and remove the state."""
        with suppress(OSError):
            text = json.dumps({"job": self._key, "event": message_to_json(event)})
            write_whole(self._folder / DONE, text)
            (self._folder / STATE).unlink(missing_ok=True)

    def finished(self) -> Trained | None:
        """Return how this job ended; None if it is unfinished or its adapter is gone."""
        try:
            found = read_json(self._folder / DONE)
            event = read_message(found["event"]) if found.get("job") == self._key else None
        except (OSError, FileError, KeyError, TypeError, ValueError):
            return None
        # The folder may have been moved since.
        if isinstance(event, Trained) and (self._output / "adapter_model.safetensors").exists():
            return replace(event, folder=str(self._output))
        return None


def job_digest(job: Job) -> str:
    """Return a digest of everything that determines the result of a job, except its time limit."""
    recipe = asdict(job.recipe)
    del recipe["max_seconds"]
    found = hashlib.sha256(json.dumps([recipe, *_identity(job.base)]).encode())
    for sample in job.samples:
        found.update(
            json.dumps(
                [
                    sample.tokens, sample.prompt, sample.lesson, sample.variant, sample.weight,
                    sample.rejected, sample.difference, sample.parts,
                ]
            ).encode()
        )  # fmt: skip
        for values in sample.top or ():
            found.update(values.tobytes())
    return found.hexdigest()


def _identity(base: Path) -> Sequence[str | int]:
    try:
        known = base.stat()
    except OSError:
        return [str(base)]
    return [str(base), known.st_size, known.st_mtime_ns]
