"""Train the starter: one flat loop that saves often and resumes from its checkpoint.

The checkpoint is `state.safetensors`, replaced atomically. The schedule follows tokens or the clock,
whichever has a budget: warm-up, a plateau, then a decay to zero. A checkpoint of another shape is
refused.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn import functional

from trainer.starter import rows
from trainer.starter.model import Starter, StarterShape

_OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The budget and the hyper-parameters of a training run; a budget of 0 is not set."""

    seed: int = 0
    tokens: int = 0
    minutes: float = 0.0
    threads: int = 1  # a second thread gains little at this size
    rate: float = 1e-3
    matrix_rate: float = 2e-3  # Muon's learning rate for the matrices; 0 leaves them to AdamW
    warm: float = 0.02
    fall: float = 0.6  # share of the run in which the rate decays to zero
    batch: int = 3072
    gather: int = 1  # batches per step
    ease: int = 110  # pools until blocks have their usual length
    other: float = 0.0  # weight of positions outside replies, which are mostly random
    share: float = 0.12
    save_every: float = 120.0  # seconds
    compiled: bool = False  # a third faster on a CPU, needs a C++ compiler and a minute


def fit(
    model: Starter, tokenizer_path: Path, folder: Path, options: TrainingOptions, on_event: _OnEvent
) -> dict[str, Any]:
    """Train `model` in place and return what was spent.

    Saves to `folder/state.safetensors`, and resumes from that file if it exists.
    """
    torch.set_num_threads(options.threads)
    optimisers = _optimisers(model, options)
    if options.compiled:
        for block in model.blk:
            block.compile(dynamic=True)
    state = {"tokens": 0, "seconds": 0.0, "steps": 0, "pools": 0, "loss": 0.0}
    path = folder / "state.safetensors"
    if path.exists():
        _resume(path, model, optimisers, state)
    batches = rows.BatchOptions(
        tokens=options.batch,
        context=model.shape.context,
        other=options.other,
        share=options.share,
        ease=options.ease,
    )
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=24)
    # A resumed run continues with pools that it has not drawn from yet.
    start = state["steps"] * options.gather // 26
    feeder = context.Process(
        target=rows.produce, args=(tokenizer_path, queue, options.seed, start, batches), daemon=True
    )
    feeder.start()
    began, spent_before, saved = time.monotonic(), state["seconds"], time.monotonic()
    try:
        while (done := _done(state, options)) < 1:
            loss = _step(model, optimisers, queue, options, done, state)
            state["seconds"] = spent_before + time.monotonic() - began
            state["loss"] = 0.98 * state["loss"] + 0.02 * loss if state["steps"] > 1 else loss
            if state["steps"] % 25 == 0:
                on_event({"kind": "step", "done": round(done, 4), **state})
            if time.monotonic() - saved > options.save_every:
                saved = time.monotonic()
                _save(path, model, optimisers, state)
                on_event({"kind": "saved", **state})
    finally:
        feeder.terminate()
        _save(path, model, optimisers, state)
    return state


def _done(state: dict[str, Any], options: TrainingOptions) -> float:
    shares = [state["tokens"] / options.tokens] if options.tokens else []
    if options.minutes:
        shares.append(state["seconds"] / (60 * options.minutes))
    if not shares:
        raise ValueError("a training run needs a budget: set tokens or minutes")
    return float(max(shares))


def _step(
    model: Starter,
    optimisers: list[Any],
    queue: Any,
    options: TrainingOptions,
    done: float,
    state: dict[str, Any],
) -> float:
    factor = min(1.0, done / options.warm if options.warm else 1.0, (1 - done) / options.fall)
    gathered = [queue.get() for _ in range(options.gather)]
    total = sum(float(batch.weight.sum()) for batch in gathered)
    seen = 0.0
    for batch in gathered:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(torch.from_numpy(batch.tokens), torch.from_numpy(batch.at))
        each = functional.cross_entropy(
            logits.float(), torch.from_numpy(batch.target), reduction="none"
        )
        weight = torch.from_numpy(batch.weight)
        loss = (each * weight).sum() / total
        torch.autograd.backward(loss)
        with torch.no_grad():
            mine = weight == 1
            seen += float(each[mine].sum() / max(1, int(mine.sum()))) / len(gathered)
        state["tokens"] += batch.count
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * max(factor, 1e-3)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    state["steps"] += 1
    if not math.isfinite(seen):
        raise ValueError(f"the loss became {seen} at step {state['steps']}; lower the rate")
    return seen


def _optimisers(model: Starter, options: TrainingOptions) -> list[Any]:
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embd" not in n]
    rest = [p for n, p in model.named_parameters() if p.dim() == 1]
    embedding = [model.token_embd.weight]
    groups = [
        {"params": embedding, "peak": options.rate, "weight_decay": 0.0},
        {"params": rest, "peak": options.rate, "weight_decay": 0.0},
    ]
    made: list[Any] = []
    if options.matrix_rate:
        muon = torch.optim.Muon(
            matrices, lr=options.matrix_rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
        )
        muon.param_groups[0]["peak"] = options.matrix_rate
        made.append(muon)
    else:
        groups.append({"params": matrices, "peak": options.rate, "weight_decay": 0.02})
    made.append(torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98), eps=1e-9, fused=True))
    return made


def _save(path: Path, model: Starter, optimisers: list[Any], state: dict[str, Any]) -> None:
    """Write the weights, the state of the optimisers and what was spent as safetensors."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, optimiser in enumerate(optimisers):
        for parameter, means in optimiser.state_dict()["state"].items():
            for name, value in means.items():
                tensors[f"optimiser.{number}.{parameter}.{name}"] = torch.as_tensor(value)
    told = {"shape": json.dumps(asdict(model.shape)), "state": json.dumps(state)}
    new = path.with_suffix(".new")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, told)
    new.replace(path)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], dict[str, Any]]:
    """Return the tensors of a checkpoint, its shape and what was spent."""
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    return tensors, json.loads(told["shape"]), json.loads(told["state"])


def _resume(path: Path, model: Starter, optimisers: list[Any], state: dict[str, Any]) -> None:
    tensors, shape, spent = _read(path)
    if shape != asdict(model.shape):
        raise ValueError(f"{path} holds another shape, {shape}; choose another folder")
    model.load_state_dict(_part(tensors, "model."))
    for number, optimiser in enumerate(optimisers):
        means: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _part(tensors, f"optimiser.{number}.").items():
            parameter, _, mean = name.partition(".")
            means.setdefault(int(parameter), {})[mean] = tensor
        # The groups hold the rates of this run, so they stay.
        optimiser.load_state_dict({**optimiser.state_dict(), "state": means})
    state.update(spent)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def restore(path: Path) -> tuple[Starter, dict[str, Any]]:
    """Return the network of a checkpoint and what was spent on it."""
    tensors, shape, spent = _read(path)
    model = Starter(StarterShape(**shape))
    model.load_state_dict(_part(tensors, "model."))
    return model, spent
