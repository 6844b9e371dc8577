"""Check that torch computes a model like llama.cpp, so that what is trained is what is served.

A child process evaluates the same tokens with both and compares the predicted distributions. The result
is cached per file (`agent/llama/gguf/load_check.py`). Nights check it before they start; `discern
model` and the doctor check it before they say that a model can be trained.

    python -m trainer.evaluate.torch_parity PATH     the child
"""

from __future__ import annotations

import sys
from pathlib import Path

from agent.child_process import ask_child, run_as_child, tell
from agent.llama.gguf.header import read_header
from agent.llama.gguf.load_check import recall, refusal, remember, require_chat_model, step
from agent.models.models import free_memory
from memory.errors import ModelError
from memory.sentence import Sentence
from memory.settings.paths import Home, expanded

MOST = 0.05
"""Most mean KL(llama.cpp ‖ torch), in nats; rounding and quantised activations explain less."""
_TOKENS = 48
_SPARE = 1 << 30


def require_agreement(path: Path) -> None:
    """Check that torch and llama.cpp agree on a model; takes some seconds for a new file.

    If the model in float32 does not fit into the free memory, only its header is checked.

    Raises:
        ModelError: it cannot be served, or not be trained.
    """
    path = expanded(path).absolute()
    require_chat_model(path)
    cache = Home.locate().cache
    if recall(path, cache, "trains"):
        return
    header = read_header(path)
    size = path.stat().st_size
    if 4 * header.parameters + size + _SPARE > free_memory():
        return
    result = ask_child("trainer.evaluate.torch_parity", str(path), seconds=120 + size / 5e6)
    if "divergence" not in result.values:
        raise ModelError(result.sentence("refused") or refusal(path, result))
    divergence = float(result.values["divergence"])
    if not divergence <= MOST:
        raise ModelError(
            "the model {path} cannot be trained: PyTorch and llama.cpp give different results for "
            "it (mean divergence {divergence:.2g}, at most {most:g}); choose another GGUF",
            path=path,
            divergence=divergence,
            most=MOST,
        )
    remember(path, cache, "trains", True)


def divergence(path: Path) -> float:
    """Return the mean KL(llama.cpp ‖ torch) over some positions, in nats."""
    import numpy as np
    import torch

    from agent.llama.engine import Engine
    from memory.settings.settings import ModelSettings
    from trainer.fit.model.base_model import load_base

    settings = ModelSettings(path="", context=2 * _TOKENS, threads=0, gpu_layers=0)
    with Engine(path, settings) as engine:
        tokens = engine.tokenize("The cat sat on the mat, and 12 birds sang of rain. " * 4)[
            :_TOKENS
        ]
        served = np.stack(list(engine.log_probabilities(tokens, 1))).astype(np.float64)
    model = load_base(path)
    with torch.no_grad():
        logits = model(torch.tensor([tokens[:-1]])).logits[0].double()
    trained = torch.log_softmax(logits, -1)[:, : served.shape[1]].numpy()
    return float((np.exp(served) * (served - trained)).sum(-1).mean())


def _compare(path: Path) -> None:
    step(Sentence("running it in PyTorch"))
    tell(divergence=divergence(path))


if __name__ == "__main__":
    sys.exit(run_as_child(lambda: _compare(Path(sys.argv[1]))))
