"""The folder that passes a training job to `trainer/fit/training_loop.py`.

    job.json       base, output, hyperparameters (`Recipe`)
    samples.npz    token ids of lessons and anchors, the base's most likely tokens on the anchors
    control        written by the parent during training: "stop" keeps the best state, "abort" nothing

It holds only numbers: reading it takes no tokenizer and no pickle. Needs only numpy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memory.errors import FileError
from memory.files.bounded_read import SMALL, open_file, read_json, read_text

JOB = "job.json"
CONTROL_FILE = "control"
"""File next to job.json in which the parent writes "stop" or "abort"."""
SAMPLES_FILE = "samples.npz"
ANCHOR = -1
"""`Sample.lesson` of an anchor or near miss."""

Ids = npt.NDArray[np.int32]
LogProbabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The hyperparameters of one run (see `[training]` in config.toml).

    `learning_rate` is already adapted to the depth of the base. `frozen_layers` is the share of its
    layers, from the first, that get no adapter.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    learning_rate: float
    max_steps: int
    preference_weight: float
    preference_beta: float
    anchor_weight: float
    hidden_weight: float
    frozen_layers: float
    max_seconds: float
    seed: int
    threads: int
    precision: str = "auto"
    """Precision of matrix products: "float32", "bfloat16", or "auto" for the faster one."""
    noise: float = 0.0
    """Size of the noise on hidden states of lessons (`trainer/fit/model/hidden_noise.py`)."""
    visits: int = 120
    """How often each lesson is shown, in any wording; `max_steps` may allow fewer."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One sequence: a prompt of `prompt` tokens and the reply to it.

    `lesson` is the number of its lesson (ANCHOR for what must stay the same), `variant` is 0 for the
    question as it was asked (in any context), and `difference` is the id that it teaches. `weight` is
    that of a lesson in the loss; for an anchor, how often it is drawn. `rejected` is the whole sequence
    with the marked reply. `parts`, if not empty, is what the contrast counts: start and end in
    `tokens`, start and end in `rejected`. `top` holds the base's k most likely tokens at each position
    of the reply: ids and ln p, each [reply, k].
    """

    tokens: tuple[int, ...]
    prompt: int
    lesson: int
    variant: int = 0
    weight: float = 1.0
    rejected: tuple[int, ...] = ()
    difference: str = ""
    parts: tuple[int, ...] = ()
    top: tuple[Ids, LogProbabilities] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What to train on, and where to write the result."""

    base: Path
    output: Path
    recipe: Recipe
    samples: tuple[Sample, ...]


def read_control(job: Job) -> str:
    """Return the parent's request: "stop", "abort", or "" if there is none."""
    try:
        return read_text(job.output.parent / CONTROL_FILE, SMALL).strip()
    except (OSError, FileError):
        return ""


def write_job(folder: Path, job: Job) -> None:
    """Write `job` into `folder`, which must exist."""
    samples = job.samples
    width = max((s.top[0].shape[1] for s in samples if s.top), default=1)
    blank_ids, blank_logs = np.zeros((0, width), np.int32), np.zeros((0, width), np.float32)
    tops = [s.top or (blank_ids, blank_logs) for s in samples]
    np.savez(
        folder / SAMPLES_FILE,
        tokens=_flat([s.tokens for s in samples]),
        lengths=_row([len(s.tokens) for s in samples]),
        rejected=_flat([s.rejected for s in samples]),
        rejected_lengths=_row([len(s.rejected) for s in samples]),
        numbers=np.array([(s.prompt, s.lesson, s.variant) for s in samples], np.int32),
        weights=np.array([s.weight for s in samples], np.float32),
        parts=np.array([s.parts or (0, 0, 0, 0) for s in samples], np.int32),
        differences=np.array([s.difference for s in samples]),
        top_ids=np.concatenate([blank_ids, *(top[0] for top in tops)]),
        top_logs=np.concatenate([blank_logs, *(top[1] for top in tops)]),
        top_lengths=_row([len(top[0]) for top in tops]),
    )
    header = {"base": str(job.base), "output": str(job.output), "recipe": asdict(job.recipe)}
    (folder / JOB).write_text(json.dumps(header, indent=1), encoding="utf-8")


def read_job(folder: Path) -> Job:
    """Read what `write_job` wrote."""
    header = read_json(folder / JOB)
    header["recipe"]["targets"] = tuple(header["recipe"]["targets"])
    with open_file(folder / SAMPLES_FILE) as file, np.load(file, allow_pickle=False) as data:
        tokens = _cut(data["tokens"], data["lengths"])
        rejected = _cut(data["rejected"], data["rejected_lengths"])
        ids = _cut(data["top_ids"], data["top_lengths"])
        logs = _cut(data["top_logs"], data["top_lengths"])
        samples = tuple(
            Sample(
                tokens=tuple(tokens[index].tolist()),
                prompt=int(prompt),
                lesson=int(lesson),
                variant=int(variant),
                weight=float(data["weights"][index]),
                rejected=tuple(rejected[index].tolist()),
                difference=str(data["differences"][index]),
                parts=tuple(data["parts"][index].tolist()) if data["parts"][index].any() else (),
                top=(ids[index], logs[index]) if len(ids[index]) else None,
            )
            for index, (prompt, lesson, variant) in enumerate(data["numbers"])
        )
    return Job(Path(header["base"]), Path(header["output"]), Recipe(**header["recipe"]), samples)


def _flat(rows: Sequence[Sequence[int]]) -> Ids:
    return np.array([token for row in rows for token in row], np.int32)


def _row(values: Sequence[int]) -> Ids:
    return np.array(values, np.int32)


def _cut(flat: npt.NDArray[Any], lengths: Ids) -> list[npt.NDArray[Any]]:
    return np.split(flat, np.cumsum(lengths)[:-1])
