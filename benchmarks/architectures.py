"""Compare torch with llama.cpp for every architecture, and measure turns of a hybrid model.

    python -m benchmarks.architectures [NAME ...]     the models of tests/support/architectures.py

The models have random weights, the proportions of published models and two to four layers. The first
table has the mean KL(llama.cpp ‖ torch) over 64 positions, for the base and with an adapter on every
matrix that may have one. The second has the tokens evaluated in a conversation of twenty turns, each
with a recalled block, with and without saved states (`agent/llama/snapshots.py`). Prints Markdown.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from agent.llama.engine import Engine
from agent.llama.gguf.architectures import ARCHITECTURES
from agent.llama.sampling_parameters import Sampling
from agent.llama.snapshots import Snapshots
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.settings.settings import ModelSettings
from tests.support.architectures import MODELS, Like, small, write_like
from trainer.adapters.lora_to_gguf import write_gguf_lora
from trainer.fit.model.base_model import load_base

SERVING = ModelSettings(path="", context=8192, threads=1, gpu_layers=0)
TOKENS = list(b"What is the capital of Zubrowka? The river, the tower and 27 more; none.")[:65]
BLOCK = "<past-differences {}>\n" + "The capital is Lutz. " * 6 + "\n</past-differences {}>"


def compare(like: Like, folder: Path) -> tuple[float, float, float]:
    """Return the KL of the base and of the adapted model, and the seconds to load the base."""
    from peft import LoraConfig, get_peft_model

    path = write_like(folder / "base.gguf", like, context=SERVING.context)
    begun = time.perf_counter()
    base = load_base(path)
    seconds = time.perf_counter() - begun
    with Engine(path, SERVING) as engine:
        plain = _divergence(_served(engine), base)
        torch.manual_seed(5)
        targets = list(ARCHITECTURES[like.architecture].targets)
        config = LoraConfig(r=4, lora_alpha=6.0, target_modules=targets, task_type="CAUSAL_LM")
        model = get_peft_model(base, config)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(folder, save_embedding_layers=False)
        engine.set_adapter(write_gguf_lora(folder, folder / "a.gguf", base=path, kind="f32"))
        return plain, _divergence(_served(engine), model.eval()), seconds


def _served(engine: Engine) -> np.ndarray:
    return np.stack(list(engine.log_probabilities(TOKENS, 1))).astype(np.float64)


def _divergence(served: np.ndarray, model: torch.nn.Module) -> float:
    with torch.inference_mode():
        logits = model(torch.tensor([TOKENS])).logits[0, :-1].double()
    trained = torch.log_softmax(logits, -1).numpy()
    return float((np.exp(served) * (served - trained)).sum(-1).mean())


def evaluated(engine: Engine, turns: int = 20) -> list[int]:
    """Return the tokens evaluated before each reply of a conversation."""
    said: list[Message] = []
    counts = []
    for turn in range(turns):
        said.append(Message("user", f"Question {turn}: what is the capital of Zubrowka?"))
        prompt = compose(engine, said, block=BLOCK.format(turn, turn))
        made = engine.generate(
            prompt.tokens, Sampling(max_tokens=8), prompt.asked, prompt.settled
        ).run()
        counts.append(len(prompt.tokens) - made.reused)
        said.append(Message("assistant", "It is not known to me."))
    return counts


@contextmanager
def _without_states() -> Iterator[None]:
    want = Snapshots.want
    Snapshots.want = lambda self, length: None  # type: ignore[method-assign]  # to compare
    try:
        yield
    finally:
        Snapshots.want = want  # type: ignore[method-assign]  # to compare


def main(names: list[str]) -> None:
    """Print both tables."""
    print("| in the proportions of | architecture | base | adapter on everything | load, s |")
    print("|---|---|---:|---:|---:|")
    for name in names or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            like = MODELS[name]
            plain, adapted, seconds = compare(like, Path(folder))
        print(
            f"| {name} | `{like.architecture}` | {plain:.1e} | {adapted:.1e} | {seconds:.1f} |",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        path = write_like(Path(folder) / "m.gguf", small("qwen35"), context=SERVING.context)
        with Engine(path, SERVING) as engine:
            counts = evaluated(engine)
            engine.generate(engine.tokenize("Something else"), Sampling(max_tokens=1)).run()
            with _without_states():
                whole = evaluated(engine)
    print("\n| tokens evaluated, `qwen35` | turn 2 | turn 20 | all 20 |\n|---|---:|---:|---:|")
    for name, row in (("with saved states", counts), ("without", whole)):
        print(f"| {name} | {row[1]:,} | {row[-1]:,} | {sum(row):,} |")


if __name__ == "__main__":
    main(sys.argv[1:])
