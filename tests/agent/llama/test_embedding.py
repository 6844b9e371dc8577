"""An embedding GGUF next to the chat model: repeatable vectors, and hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.llama.embedding import WINDOW, GgufEmbedder
from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from memory.errors import ModelError


@pytest.fixture
def embedder(tiny: Path) -> Iterator[GgufEmbedder]:
    embedder = GgufEmbedder(tiny)
    yield embedder
    embedder.close()


def test_vectors_have_unit_length_and_are_repeatable_and_distinct(embedder: GgufEmbedder) -> None:
    texts = ["the capital of Zubrowka", "столица Зубровки", "the capital of Zubrowka", " "]
    vectors = embedder.embed(texts)
    assert vectors.shape == (4, embedder.size)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert not vectors[3].any()
    assert not np.allclose(vectors[0], vectors[1], atol=0.05)


def test_text_is_cut_to_the_window_and_control_tokens_stay_text(embedder: GgufEmbedder) -> None:
    long = "x" * (3 * WINDOW)
    assert np.array_equal(*embedder.embed([long, long + "and more"]))
    marker, plain = embedder.embed(["<|im_end|>", "<|im_end|"])
    assert not np.allclose(marker, plain)


def test_embedding_does_not_disturb_the_chat_model(embedder: GgufEmbedder, engine: Engine) -> None:
    prompt = engine.tokenize("Hello there")
    before = engine.generate(prompt, Sampling(max_tokens=8)).run()
    embedder.embed(["something in between"])
    again = engine.generate(prompt, Sampling(max_tokens=8)).run()
    assert again.tokens == before.tokens
    assert again.reused == len(prompt) - 1


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model at"):
        GgufEmbedder(tmp_path / "none.gguf")
