"""The training loop: a job folder in, a PEFT adapter out. Runs as a process of its own.

    python -m trainer.fit FOLDER     fit the job in FOLDER
    python -m trainer.fit --serve    fit the job of each folder named on a line of standard input

The second form lets the parent start the slow imports early and try several learning rates with one
load of the base. Events go to standard output, one JSON object a line; the last of a job has the
phase "trained" or "failed". Needs torch, transformers, peft, gguf, safetensors and numpy, nothing
else: neither a tokenizer nor llama.cpp nor the journal.

The base stays frozen and the seed fixes everything: on one CPU thread count the same job gives the
same bytes. Logits are computed at reply positions only. Nothing survives a crash; the parent
publishes only what a "trained" event announced.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.job import ANCHOR, Job, Recipe, Sample, read_job

if TYPE_CHECKING:
    from torch import Tensor

LESSONS_A_STEP = (8, 32)
"""Lesson samples in a step, at least and at most: as many as see them all within ROUND steps."""
ROUND = 8
ANCHORS_A_STEP = 24
BANDS = 2
"""Groups of like length that a step's sequences are padded in."""
WARM_UP, LONGEST_WARM_UP = 0.1, 10
"""Share of the steps over which the learning rate rises, and the most steps that takes."""
CLIP = 1.0
ENOUGH = 0.95
"""Share of lesson samples that must come out right before training may stop."""
COOL_DOWN = 16
"""Steps over which the learning rate then falls to nothing: the noise of the last steps is what
moves unrelated answers."""


class UnstableError(Exception):
    """The loss is no longer a number."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences in bands of like length, and the N positions that predict reply tokens.

    A band is its padded tokens and the (row, column) of its positions; the bands' positions one after
    the other are those of `owner` (whose position it is) and `targets` (the token to predict).
    """

    bands: tuple[tuple[Tensor, Tensor, Tensor], ...]
    owner: Tensor
    targets: Tensor
    count: int
    tokens: int
    """Tokens computed, padding left out."""


def main(arguments: Sequence[str]) -> int:
    """Run the jobs; returns 0, or 1 when one failed."""
    import peft  # noqa: F401  # the slow part of starting, done while the parent still composes
    import torch
    import transformers  # noqa: F401

    torch.set_num_interop_threads(1)
    emit(phase="ready")
    loaded: dict[Path, Any] = {}
    failed = False
    lines = (line.strip() for line in sys.stdin) if arguments[0] == "--serve" else arguments
    for line in lines:
        try:
            fit(read_job(Path(line)), loaded)
        except Exception as error:
            emit(phase="failed", reason=f"{type(error).__name__}: {error}", kind=_kind(error))
            failed = True
    return int(failed)


def _kind(error: Exception) -> str:
    if isinstance(error, UnstableError):
        return "unstable"
    words = str(error).lower()
    return "memory" if isinstance(error, MemoryError) or "out of memory" in words else "error"


def emit(**event: Any) -> None:
    """Write one event for the parent."""
    print(json.dumps(event), flush=True)  # noqa: T201  # standard output is the channel


def fit(job: Job, loaded: dict[Path, Any] | None = None) -> None:
    """Train one adapter and save it into `job.output` in PEFT's layout.

    `loaded` keeps the base between jobs. Raises UnstableError when the loss is not a number any more.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from trainer.base import load_base

    recipe, began = job.recipe, time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = {} if loaded is None else loaded
    if job.base not in loaded:
        emit(phase="load", device=device)
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        loaded.clear()
        loaded[job.base] = load_base(job.base, dtype=dtype, device=device)
    base = loaded.pop(job.base)
    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    model.train()
    order = random.Random(recipe.seed)
    lessons = [s for s in job.samples if s.lesson != ANCHOR]
    anchors = [s for s in job.samples if s.lesson == ANCHOR]
    size = min(LESSONS_A_STEP[1], max(LESSONS_A_STEP[0], math.ceil(len(lessons) / ROUND)))
    batches = zip(
        _cycle(lessons, size, order), _cycle(anchors, ANCHORS_A_STEP, order), strict=False
    )
    before = _base_log_probabilities(model, lessons, device)
    threads = _choose_threads(model, recipe, lessons[:size], device)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    warm_up = max(1, min(LONGEST_WARM_UP, round(WARM_UP * recipe.max_steps)))
    right: dict[Sample, bool] = dict.fromkeys(lessons, False)
    losses: list[float] = []
    learnt, seen, cooling, reason = 0.0, 0, COOL_DOWN, "steps"
    loop = time.perf_counter()
    emit(phase="train", step=0, steps=recipe.max_steps, threads=threads, seconds=loop - began)
    for step, (some, held) in enumerate(batches, start=1):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, step / warm_up, cooling / COOL_DOWN)
        loss, parts, correct, tokens = _loss(model, recipe, some, held, before, device)
        loss.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(loss.item()):
            raise UnstableError(f"the loss is {loss.item()} at step {step}")
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        right.update(zip(some, correct, strict=True))
        learnt = sum(right.values()) / len(right)
        losses.append(loss.item())
        seen += tokens
        passed = time.perf_counter() - loop
        emit(
            phase="train",
            step=step,
            steps=recipe.max_steps,
            loss=round(loss.item(), 5),
            **{name: round(value, 5) for name, value in parts.items()},
            tokens_per_second=round(seen / passed),
            learnt=round(learnt, 4),
            learning_rate=recipe.learning_rate,
        )
        # Once enough is learnt the rate falls; should something be unlearnt meanwhile, it rises again.
        cooling = cooling - 1 if learnt >= ENOUGH else COOL_DOWN
        if cooling == 0:
            reason = "learnt"
        elif time.perf_counter() - began > recipe.max_seconds:
            reason = "time"
        elif step < recipe.max_steps:
            continue
        break
    _save(model, job)
    loaded[job.base] = model.unload()
    emit(
        phase="trained",
        folder=str(job.output),
        steps=len(losses),
        learnt=round(learnt, 4),
        reason=reason,
        seconds=round(time.perf_counter() - began, 3),
        step_seconds=round((time.perf_counter() - loop) / max(1, len(losses)), 4),
    )


def _cycle(samples: Sequence[Sample], size: int, order: random.Random) -> Iterator[list[Sample]]:
    """Yield batches without end, every sample once a round, in a new order each round."""
    waiting: list[Sample] = []
    while True:
        while samples and len(waiting) < min(size, len(samples)):
            fresh = [sample for sample in samples if sample not in waiting]
            order.shuffle(fresh)
            waiting += fresh
        yield waiting[:size]
        waiting = waiting[size:]


def _loss(
    model: Any,
    recipe: Recipe,
    lessons: Sequence[Sample],
    anchors: Sequence[Sample],
    before: dict[tuple[int, ...], float],
    device: str,
) -> tuple[Tensor, dict[str, float], list[bool], int]:
    """Return the loss, its parts, which lessons came out right, and the tokens computed."""
    import torch

    from trainer import objective

    pairs = [s for s in lessons if s.rejected and recipe.preference_weight > 0]
    held = [s for s in anchors if s.top is not None and recipe.anchor_weight > 0]
    sequences = [(s.tokens, s.prompt) for s in (*lessons, *held)]
    sequences += [(s.rejected, s.prompt) for s in pairs]
    batch = make_batch(sequences, device)
    logits = reply_logits(model, batch)
    first_anchor, first_rejected = len(lessons), len(lessons) + len(held)
    of_lessons = batch.owner < first_anchor
    of_anchors = (batch.owner >= first_anchor) & (batch.owner < first_rejected)
    logs = objective.token_log_probabilities(logits, batch.targets)
    weights = torch.tensor([s.weight for s in lessons], device=device)
    loss = ce = objective.cross_entropy(logs[of_lessons], batch.owner[of_lessons], weights)
    parts = {"ce": ce.item()}
    if pairs:
        sums = objective.sequence_sums(logs, batch.owner, batch.count)
        chosen = torch.stack([sums[lessons.index(s)] - before[s.tokens] for s in pairs])
        known = torch.tensor([before[s.rejected] for s in pairs], device=device)
        term = objective.preference(chosen, sums[first_rejected:] - known, recipe.preference_beta)
        loss, parts["preference"] = loss + recipe.preference_weight * term, term.item()
    if held:
        # The base's odds in the order of the positions, which the bands have changed.
        seen = list(dict.fromkeys(batch.owner[of_anchors].tolist()))
        tops = [top for index in seen if (top := held[index - first_anchor].top)]
        ids = torch.cat([torch.from_numpy(top[0]) for top in tops]).to(device)
        base = torch.cat([torch.from_numpy(top[1]) for top in tops]).to(device)
        term = objective.top_k_kl(logits[of_anchors], ids.long(), base)
        loss, parts["kl"] = loss + recipe.anchor_weight * term, term.item()
    wrong = (logits.argmax(-1) != batch.targets).float()
    faults = objective.sequence_sums(wrong, batch.owner, len(sequences))[:first_anchor]
    return loss, parts, [fault == 0 for fault in faults.tolist()], batch.tokens


def make_batch(sequences: Sequence[tuple[Sequence[int], int]], device: str) -> Batch:
    """Pad (tokens, length of the prompt) pairs on the right, by bands, and find the reply positions."""
    import torch

    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index][0]))
    size = max(1, math.ceil(len(order) / BANDS))
    bands: list[tuple[Tensor, Tensor, Tensor]] = []
    owner: list[int] = []
    targets: list[int] = []
    for start in range(0, len(order), size):
        members = order[start : start + size]
        longest = len(sequences[members[-1]][0])
        padded: list[list[int]] = []
        places: list[tuple[int, int]] = []
        for row, index in enumerate(members):
            tokens, prompt = sequences[index]
            padded.append([*tokens, *[0] * (longest - len(tokens))])
            for column in range(prompt - 1, len(tokens) - 1):
                places.append((row, column))
                owner.append(index)
                targets.append(tokens[column + 1])
        rows, columns = torch.tensor(places, device=device).T
        bands.append((torch.tensor(padded, device=device), rows, columns))
    return Batch(
        bands=tuple(bands),
        owner=torch.tensor(owner, device=device),
        targets=torch.tensor(targets, device=device),
        count=len(sequences),
        tokens=sum(len(tokens) for tokens, _ in sequences),
    )


def reply_logits(model: Any, batch: Batch) -> Tensor:
    """Return the logits [N, V] at the reply positions alone, in float32."""
    import torch

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    found = []
    for tokens, rows, columns in batch.bands:
        # Padding stands on the right, where a causal model never looks: no mask is needed.
        hidden = causal.model(input_ids=tokens, use_cache=False).last_hidden_state
        found.append(hidden[rows, columns])
    logits: Tensor = causal.lm_head(torch.cat(found)).float()
    return logits


def _base_log_probabilities(
    model: Any, lessons: Sequence[Sample], device: str
) -> dict[tuple[int, ...], float]:
    """Return ln π_0 of every chosen and rejected reply that the contrast needs."""
    import torch

    from trainer import objective

    wanted = [
        (tokens, s.prompt) for s in lessons if s.rejected for tokens in (s.tokens, s.rejected)
    ]
    known: dict[tuple[int, ...], float] = {}
    with torch.inference_mode(), model.disable_adapter():
        for start in range(0, len(wanted), LESSONS_A_STEP[1]):
            part = wanted[start : start + LESSONS_A_STEP[1]]
            batch = make_batch(part, device)
            logs = objective.token_log_probabilities(reply_logits(model, batch), batch.targets)
            sums = objective.sequence_sums(logs, batch.owner, len(part)).tolist()
            known.update({tuple(tokens): sums[i] for i, (tokens, _) in enumerate(part)})
    return known


def _choose_threads(model: Any, recipe: Recipe, some: Sequence[Sample], device: str) -> int:
    """Set the number of CPU threads: the one asked for, else the faster of one and all."""
    import torch

    if recipe.threads or device != "cpu":
        torch.set_num_threads(recipe.threads or 1)
        return torch.get_num_threads()
    batch = make_batch([(s.tokens, s.prompt) for s in some], device)
    took: dict[int, float] = {}
    for count in (torch.get_num_threads(), 1):
        torch.set_num_threads(count)
        for _ in range(2):  # the first run warms the caches
            start = time.perf_counter()
            reply_logits(model, batch).sum().backward()  # type: ignore[no-untyped-call]
            took[count] = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    best = min(took, key=lambda count: took[count])
    torch.set_num_threads(best)
    return best


def _save(model: Any, job: Job) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder = job.output
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    plain = {name: value.float().cpu().contiguous() for name, value in state.items()}
    save_file(plain, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"]
    config.base_model_name_or_path = job.base.name
    config.save_pretrained(folder)


if __name__ == "__main__":
    from trainer.children import die_with_parent

    die_with_parent()
    sys.exit(main(sys.argv[1:]))
