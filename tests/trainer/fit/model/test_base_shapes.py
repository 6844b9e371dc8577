"""Real Qwen shapes and all common quantizations: torch agrees with llama.cpp."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.llama.engine import Engine
from memory.errors import ModelError
from tests.support.gguf_files import write_tiny
from trainer.fit.model.base_model import load_base

# Width, head size, heads, key-value heads, inner width of the real files; two layers are enough.
SHAPES = {
    "Qwen3-0.6B": ("qwen3", 1024, 128, 16, 8, 3072),
    "Qwen2.5-0.5B": ("qwen2", 896, 64, 14, 2, 4864),
}
KINDS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16")
HARD = (
    "Здравствуйте! Что такое «ёж» — и где он зимует?",
    "def f(x):\n\treturn {'a': [1, 2.5e-3], **x}  # ok?\n\n\n",
    "👩‍👩‍👧‍👦🏳️‍🌈 ﷽ 你好，世界 e\u0301 ﬁ",
    "  leading,   inner \t and trailing   \r\n \n",
    "I'LL we've don't 1234567890 3.14 $€ <|im_start|>user <|endoftext|>",
    "\u200b\u00a0\u2028x\u0000y\ufeff",
    "",
    " ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
)


def quantise(source: Path, target: Path, kind: str) -> Path:
    """Write `source` as `kind` with llama.cpp's quantizer."""
    import llama_cpp

    wanted = llama_cpp.llama_model_quantize_default_params()
    wanted.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    wanted.nthread = 1
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(wanted)
    )
    assert code == 0
    return target


def both(path: Path, tokens: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return ln p at each position by torch and by llama.cpp."""
    with Engine.open(path) as engine:
        served = np.stack(list(engine.log_probabilities(tokens, 1)))
    with torch.inference_mode():
        logits = load_base(path)(torch.tensor([tokens])).logits[0, :-1]
    return torch.log_softmax(logits, -1).numpy(), served


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_real_shapes_agree_with_llama_cpp_in_every_quantization(
    tmp_path: Path, shape: str, kind: str
) -> None:
    architecture, width, head, heads, heads_kv, inner = SHAPES[shape]
    source = write_tiny(
        tmp_path / "f16.gguf",
        architecture=architecture,
        width=width,
        head=head,
        heads=heads,
        heads_kv=heads_kv,
        inner=inner,
    )
    path = source if kind == "F16" else quantise(source, tmp_path / "m.gguf", kind)
    fitted, served = both(path, list(b"What is the capital of Zubrowka? \xd0\xa1"))
    # llama.cpp rounds activations to 8 bits for a quantized matrix; torch does not.
    assert np.abs(fitted - served).mean() < 0.05
    assert np.abs(fitted - served).max() < 0.4
    assert (fitted.argmax(-1) == served.argmax(-1)).mean() > 0.9


def test_the_starters_logits_agree_with_llama_cpp(starter: Path) -> None:
    with Engine.open(starter) as engine:
        tokens = engine.tokenize("<|im_start|>user\nWhat is the capital of France?", special=True)
    fitted, served = both(starter, tokens)
    assert np.abs(fitted - served).mean() < 0.1
    assert (fitted.argmax(-1) == served.argmax(-1)).mean() > 0.9


@pytest.mark.parametrize("text", HARD)
def test_token_ids_equal_those_of_an_independent_reader(
    starter: Path, text: str, tokenizer: object
) -> None:
    with Engine.open(starter) as engine:
        ours = engine.tokenize(text)
        assert engine.text(ours) == text
    assert ours == tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def tokenizer(starter: Path) -> object:
    """Transformers' tokenizer, built from the same GGUF."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(starter.parent, gguf_file=starter.name)


def test_an_unsupported_quantization_is_reported_in_one_sentence(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "m.gguf")
    data = bytearray(path.read_bytes())
    # The type of the first tensor follows its name, its number of dimensions and its two sizes.
    place = data.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 16
    data[place : place + 4] = (200).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ModelError, match="choose another GGUF"):
        load_base(path)
