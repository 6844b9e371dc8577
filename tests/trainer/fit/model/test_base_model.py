"""The torch model of a GGUF gives the same results as llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agent.llama.engine import Engine
from memory.errors import ModelError
from tests.support.gguf_files import write_tiny
from trainer.fit.model.base_model import load_base


@pytest.mark.parametrize("architecture", ["qwen3", "qwen2", "llama"])
@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_the_log_probabilities_equal_those_of_llama_cpp(
    tmp_path: Path, architecture: str, quantised: bool, tied: bool
) -> None:
    # llama.cpp knows no Qwen2 whose heads do not add up to the width; others may have any head size.
    sizes = {"qwen2": (96, 24), "qwen3": (64, 40), "llama": (64, 40)}[architecture]
    path = write_tiny(
        tmp_path / "m.gguf",
        architecture=architecture,
        quantised=quantised,
        tied=tied,
        heads=4,
        width=sizes[0],
        head=sizes[1],
    )
    with Engine.open(path) as engine:
        tokens = engine.tokenize("What is the capital of Zubrowka? Столица?")
        served = np.stack(list(engine.log_probabilities(tokens, 1)))
    with torch.inference_mode():
        logits = load_base(path)(torch.tensor([tokens])).logits[0, :-1]
    fitted = torch.log_softmax(logits, -1).numpy()
    # llama.cpp rounds the activations to 8 bits for a Q8_0 matrix; torch does not.
    assert np.abs(fitted - served).max() < (0.2 if quantised else 0.05)
    assert np.abs(fitted - served).mean() < 0.05
    assert (fitted.argmax(-1) == served.argmax(-1)).mean() > 0.95


def test_a_file_that_is_not_a_model_is_refused_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 40)
    with pytest.raises(ModelError, match=r"cannot read the header of .*m\.gguf"):
        load_base(path)
    with pytest.raises(ModelError, match="there is no model"):
        load_base(tmp_path / "none.gguf")


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "m.gguf", architecture="qwen2")
    path.write_bytes(path.read_bytes().replace(b"qwen2", b"phony"))
    with pytest.raises(ModelError, match="phony"):
        load_base(path)
