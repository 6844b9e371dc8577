"""Time the conversion of a GGUF to torch, and of an adapter to a GGUF LoRA.

    python -m benchmarks.converting [--converter LLAMA_CPP/convert_lora_to_gguf.py] [--rounds 3]

Loading is compared with transformers' own GGUF loader on SmolLM2 (the extra `bench`). The export is
compared with llama.cpp's converter, which is part of its source; without `--converter` it is left out.
Every run is a separate process, ours and theirs in turn. Imports are excluded for loading and included
for the export, which both are started as commands. Prints the medians of wall and processor seconds,
and whether both produce equal weights.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.real_marks import model_path

RANK, SEED = 16, 1
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LOAD = """
import json, resource, sys, time
from pathlib import Path
import torch, transformers
path = Path(sys.argv[2])
if sys.argv[1] == "ours":
    from trainer.fit.model.base_model import load_base as load
else:
    from transformers import AutoModelForCausalLM
    def load(path):
        return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
torch.set_num_threads(1)
began, used = time.perf_counter(), time.process_time()
model = load(path)
took = [time.perf_counter() - began, time.process_time() - used]
sums = {name: [value.double().sum().item(), value.double().square().sum().item()]
        for name, value in model.state_dict().items()}
print(json.dumps({"took": took, "sums": sums,
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""
EXPORT = """
import sys
from pathlib import Path
from trainer.adapters.lora_to_gguf import write_gguf_lora
write_gguf_lora(Path(sys.argv[1]), Path(sys.argv[2]), base=Path(sys.argv[3]), kind="f16")
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--converter", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args(arguments)
    print("| what | seconds | processor seconds |\n|---|---:|---:|")
    loading(wanted.rounds)
    if wanted.converter:
        exporting(wanted.converter, wanted.rounds)


def loading(rounds: int) -> None:
    """Load SmolLM2 with our loader and with transformers' in turn."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "transformers": []}
    for _ in range(rounds):
        for who, made in found.items():
            made.append(_printed([sys.executable, "-c", LOAD, who, str(model_path())]))
    for who, made in found.items():
        wall, cpu = (median(run["took"][n] for run in made) for n in range(2))
        print(f"| GGUF to torch, {who} | {wall:.2f} | {cpu:.2f} |")
    ours, theirs = (found[who][0]["sums"] for who in ("ours", "transformers"))
    same = all(np.allclose(ours[name], theirs[name], rtol=1e-4) for name in ours)
    print(f"\nWeights equal: {same}; peak MB {[made[0]['peak_mb'] for made in found.values()]}\n")


def exporting(converter: Path, rounds: int) -> None:
    """Export a random adapter of every matrix with our exporter and with llama.cpp's converter."""
    with tempfile.TemporaryDirectory() as name:
        adapter, base = _adapter(Path(name))
        ours, theirs = Path(name) / "ours.gguf", Path(name) / "theirs.gguf"
        commands = {
            "ours": [sys.executable, "-c", EXPORT, str(adapter), str(ours), str(model_path())],
            "llama.cpp": [
                sys.executable, str(converter), str(adapter), "--base", str(base),
                "--outfile", str(theirs), "--outtype", "f16",
            ],
        }  # fmt: skip
        took: dict[str, list[tuple[float, float]]] = {who: [] for who in commands}
        inside = []
        for _ in range(rounds):
            for who, command in commands.items():
                took[who].append(_timed(command))
            inside.append(_seconds(lambda: _export(adapter, ours)))
        for who, runs in took.items():
            wall, cpu = (median(run[n] for run in runs) for n in range(2))
            print(f"| LoRA export, {who}, as a command | {wall:.2f} | {cpu:.2f} |")
        wall, cpu = (median(run[n] for run in inside) for n in range(2))
        print(f"| LoRA export, ours, within a night | {wall:.2f} | {cpu:.2f} |")
        one, other = _tensors(ours), _tensors(theirs)
        same = one.keys() == other.keys() and all((one[n] == other[n]).all() for n in one)
        print(f"\nTensors equal: {same} ({len(one)})")


def _export(adapter: Path, target: Path) -> None:
    from trainer.adapters.lora_to_gguf import write_gguf_lora

    write_gguf_lora(adapter, target, base=model_path(), kind="f16")


def _adapter(folder: Path) -> tuple[Path, Path]:
    """Return a random PEFT adapter for SmolLM2, and a folder with its config as transformers has it."""
    from peft import LoraConfig, get_peft_model

    from trainer.fit.model.base_model import load_base

    model = load_base(model_path())
    base = folder / "base"
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(base)
    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules=list(MATRICES), task_type="CAUSAL_LM"
    )
    adapted: Any = get_peft_model(model, config)
    draw = np.random.default_rng(SEED)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            values = draw.normal(0, 0.02, tuple(parameter.shape)).astype(np.float32)
            parameter.data.copy_(parameter.data.new_tensor(values))
    adapted.save_pretrained(folder / "adapter")
    return folder / "adapter", base


def _tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    import gguf

    return {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}


def _printed(command: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its wall and processor seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def _seconds(call: Callable[[], None]) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()
