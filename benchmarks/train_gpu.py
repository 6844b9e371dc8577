"""Measure the training loop at real sizes: Qwen3-0.6B, 1.7B, 4B and 8B with random weights.

    python -m benchmarks.train_gpu --shape 0.6B 4B [--marks 100] [--steps 60] [--gguf FOLDER] [--json]
    python -m benchmarks.train_gpu --shape tiny --marks 4 --steps 3        a trial on any CPU

Needs only torch, transformers, peft, gguf, safetensors and numpy. If TRL is installed, its SFTTrainer
is measured on the same sequences (unless --no-trl). The loop is `trainer/fit/training_loop.py` itself,
on random token ids in the sizes of real marks: for each mark its question in nine wordings, a rejected
reply, and three anchors with the base's 20 most likely tokens. Random weights do not learn in that
time, so a run always takes all its steps.

*tokens/s*: sequence tokens without padding. *peak share*: 4 × parameters × tokens per second, relative
to the speed of a large matrix product on the same device (4 for the forward pass and for the backward
pass through frozen weights, which need no gradient; logits only at reply positions; attention scores
are left out). *adapter in*: seconds from marks to adapter file, with imports done and weights loaded;
with --gguf, the full path is measured too, a new process that reads the base from a BF16 file in FOLDER
(written before the clock starts).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from trainer.fit.job import ANCHOR, Job, Recipe, Sample, write_job

ROOT = Path(__file__).resolve().parent.parent

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WORDINGS, ANCHORS, TOP = 9, 3, 20
PROMPT, REPLY = (24, 60), (12, 48)


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The sizes of a Qwen3."""

    width: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    tied: bool
    vocabulary: int = 151_936


SHAPES = {
    "tiny": ModelSize(64, 128, 2, 4, 2, 16, True, 512),
    "0.6B": ModelSize(1024, 3072, 28, 16, 8, 128, True),
    "1.7B": ModelSize(2048, 6144, 28, 16, 8, 128, True),
    "4B": ModelSize(2560, 9728, 36, 32, 8, 128, True),
    "8B": ModelSize(4096, 12288, 36, 32, 8, 128, False),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the shapes asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["0.6B", "1.7B", "4B", "8B"])
    parser.add_argument("--marks", type=int, default=100)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument(
        "--gguf", type=Path, help="also measure the full path, through a GGUF in this folder"
    )
    parser.add_argument("--no-trl", action="store_true")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    with_trl = not wanted.no_trl and importlib.util.find_spec("trl") is not None
    peak = matmul_peak()
    rows = []
    for name in wanted.shape:
        samples = sequences(SHAPES[name], wanted.marks)
        with tempfile.TemporaryDirectory() as folder:
            row = {
                "shape": name,
                "peak_tflops": peak,
                **ours(name, samples, wanted.steps, Path(folder), peak),
            }
            if with_trl:
                row["trl"] = trl(name, samples, wanted.steps, Path(folder), peak)
            if wanted.gguf:
                row["whole_seconds"] = full_path_seconds(
                    name, samples, wanted.steps, Path(folder), wanted.gguf
                )
        rows.append(row)
        print(json.dumps(row) if wanted.json else _line(row), flush=True)
    return 0


def device() -> str:
    """Return "cuda" if there is a GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def matmul_peak(size: int = 0) -> float:
    """Return the speed of a large matrix product in the precision of the training, in TFLOP/s."""
    import torch

    place = device()
    size = size or (8192 if place == "cuda" else 1024)
    kind = torch.bfloat16 if place == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=place, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _wait()
        start = time.perf_counter()
        a @ b
        _wait()
        best = min(best, time.perf_counter() - start)
    return round(2 * size**3 / best / 1e12, 3)


def _wait() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def random_model(shape: ModelSize) -> Any:
    """Return a frozen Qwen3 with random weights on the device; its norms are ones."""
    import torch
    from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=4096,
    )
    place = device()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if place == "cuda" else torch.float32)
    torch.manual_seed(0)
    try:
        with torch.device(place):
            model = Qwen3ForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return model.requires_grad_(False).eval()


def sequences(shape: ModelSize, marks: int, seed: int = 0) -> tuple[Sample, ...]:
    """Return the training sequences of `marks` marks, with random token ids."""
    random = Random(seed)

    def draw(between: tuple[int, int]) -> tuple[int, ...]:
        return tuple(random.randrange(shape.vocabulary) for _ in range(random.randint(*between)))

    made: list[Sample] = []
    for lesson in range(marks):
        chosen, rejected = draw(REPLY), draw(REPLY)
        for variant in range(WORDINGS):
            prompt = draw(PROMPT)
            wrong = (*prompt, *rejected) if variant == 0 else ()
            made.append(Sample((*prompt, *chosen), len(prompt), lesson, variant, 1.0, wrong))
        for _ in range(ANCHORS):
            prompt, reply = draw(PROMPT), draw(REPLY)
            ids = np.array([random.sample(range(shape.vocabulary), TOP) for _ in reply], np.int32)
            logs = np.full((len(reply), TOP), -np.log(2 * TOP), np.float32)
            made.append(Sample((*prompt, *reply), len(prompt), ANCHOR, top=(ids, logs)))
    return tuple(made)


def recipe(steps: int) -> Recipe:
    """Return the default recipe, with all steps taken."""
    values: dict[str, Any] = {
        "rank": 16, "alpha": 32.0, "targets": TARGETS, "learning_rate": 3e-4, "max_steps": steps,
        "preference_weight": 0.2, "preference_beta": 0.1, "anchor_weight": 2.0,
        "hidden_weight": 3.0, "frozen_layers": 0.25,
        "max_seconds": 3600.0, "seed": 0, "threads": 0,
    }  # fmt: skip
    return Recipe(**values)


def ours(
    name: str, samples: tuple[Sample, ...], steps: int, folder: Path, peak: float
) -> dict[str, Any]:
    """Run `trainer/fit/training_loop.py` on a model in memory."""
    import torch

    from trainer.fit.training_loop import fit

    base = Path(f"{name}.gguf")
    model = random_model(SHAPES[name])
    weights = sum(p.numel() for p in model.parameters()) - model.model.embed_tokens.weight.numel()
    job = Job(base, folder / "adapter", recipe(steps), samples)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    said = io.StringIO()
    began = time.perf_counter()
    with contextlib.redirect_stdout(said):
        fit(job, {base: model})
    seconds = time.perf_counter() - began
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    steady = [event for event in events if "tokens_per_second" in event]
    speed = steady[-1]["tokens_per_second"]
    return {
        "parameters": weights,
        "adapter_seconds": round(seconds, 2),
        "steps": len(steady),
        "tokens_per_second": speed,
        "peak_share": round(4 * weights * speed / 1e12 / peak, 3),
        "memory_mb": _memory(),
    }


def trl(
    name: str, samples: tuple[Sample, ...], steps: int, folder: Path, peak: float
) -> dict[str, Any]:
    """Run TRL's SFTTrainer with its defaults on the sequences of the lessons."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    model = random_model(SHAPES[name])
    weights = sum(p.numel() for p in model.parameters()) - model.model.embed_tokens.weight.numel()
    lessons = [sample for sample in samples if sample.lesson != ANCHOR]
    rows = [
        {"input_ids": list(s.tokens), "labels": [-100] * s.prompt + list(s.tokens[s.prompt :])}
        for s in lessons
    ]
    words = Tokenizer(models.WordLevel({"<end>": 0, "<unknown>": 1}, unk_token="<unknown>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>", unk_token="<unknown>"
    )
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder / "trl"), max_steps=steps, report_to="none", save_strategy="no",
            disable_tqdm=True, use_cpu=not cuda, bf16=cuda, logging_strategy="no",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules=list(TARGETS), task_type="CAUSAL_LM"
        ),
    )  # fmt: skip
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    seconds = time.perf_counter() - began
    batch = trainer.args.per_device_train_batch_size
    mean = sum(len(s.tokens) for s in lessons) / len(lessons)
    speed = round(steps * batch * mean / seconds)
    return {
        "tokens_per_second": speed,
        "peak_share": round(4 * weights * speed / 1e12 / peak, 3),
        "memory_mb": _memory(),
    }


def full_path_seconds(
    name: str, samples: tuple[Sample, ...], steps: int, folder: Path, files: Path
) -> float:
    """Return the seconds of a new process from job folder to adapter file, reading the base."""
    base = files / f"{name}.gguf"
    if not base.exists():
        write_base(name, base)
    job = folder / "job"
    job.mkdir()
    began = time.perf_counter()
    write_job(job, Job(base, folder / "adapter", recipe(steps), samples))
    subprocess.run(
        [sys.executable, "-m", "trainer.fit", str(job)],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return round(time.perf_counter() - began, 2)


def write_base(name: str, path: Path) -> None:
    """Write a GGUF with random BF16 matrices in the named shape, without a vocabulary."""
    import gguf
    import torch

    from agent.llama.gguf.architectures import ARCHITECTURES

    shape, model = SHAPES[name], random_model(SHAPES[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(4096)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    names, kind = ARCHITECTURES["qwen3"].gguf_names, gguf.GGMLQuantizationType.BF16
    for key, weight in model.state_dict().items():
        if key == "lm_head.weight" and shape.tied:
            continue
        if weight.ndim == 1:
            writer.add_tensor(names(key)[0], weight.float().cpu().numpy())
        else:
            raw = weight.to(torch.bfloat16).cpu().view(torch.uint8).numpy()
            writer.add_tensor(names(key)[0], raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _memory() -> int:
    """Return the peak memory in MB, of the GPU if there is one, else of the process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _line(row: dict[str, Any]) -> str:
    trl = row.get("trl")
    text = (
        f"{row['shape']}: adapter in {row['adapter_seconds']} s ({row['steps']} steps), "
        f"{row['tokens_per_second']:,} tokens/s, {row['peak_share']:.1%} of "
        f"{row['peak_tflops']} TFLOP/s, {row['memory_mb']:,} MB"
    )
    if "whole_seconds" in row:
        text += f"; the whole way {row['whole_seconds']} s"
    if trl:
        text += f"; TRL {trl['tokens_per_second']:,} tokens/s, {trl['memory_mb']:,} MB"
    return text


if __name__ == "__main__":
    sys.exit(main())
