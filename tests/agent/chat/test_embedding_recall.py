"""A GGUF as the embedder of recall, with the real llama.cpp and the starter in place of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.llama.embedding import GgufEmbedder
from agent.models.served_model import embedder
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import make_turn


def with_model(settings: Settings, path: Path) -> Settings:
    memory = settings.memory.model_copy(update={"embedder": str(path), "dense": True})
    return settings.model_copy(update={"memory": memory})


def test_the_index_is_made_by_the_model_in_the_settings_and_again_without_it(
    home: Home, settings: Settings, starter: Path
) -> None:
    modelled = with_model(settings, starter)
    with Memory.open(home, modelled, embedder=embedder(modelled)) as memory:
        marked = memory.mark(
            make_turn("What is the capital of Zubrowka?"), MarkRequest("error", sounds="Lutz.")
        )
        memory.mark(make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker."))
        assert memory.settle(60)
        assert memory.notice is None
        assert memory.index is not None
        assert memory.index.reads_sense
        [first, second] = memory.index.nearest("What is the capital of Zubrowka?", 5)
        assert first[0] == marked.id
        assert first[1] > second[1]
        assert memory.search("capital of Zubrowka")[0].difference == marked
    with Memory.open(home, settings) as memory:
        assert memory.settle(60)
        assert memory.index is not None
        assert not memory.index.reads_sense
        assert len(memory.index.ids()) == 2


def test_a_query_has_an_instruction_and_a_document_has_none(starter: Path) -> None:
    model = GgufEmbedder(starter)
    try:
        query, document = model.query("Who is Mendl?"), model.embed(["Who is Mendl?"])[0]
        assert query.shape == document.shape == (model.size,)
        assert abs(float(np.linalg.norm(query)) - 1) < 1e-5
        assert not np.allclose(query, document, atol=1e-3)
    finally:
        model.close()


def test_a_missing_model_is_reported_and_recall_uses_keywords(
    home: Home, settings: Settings, tmp_path: Path
) -> None:
    missing = with_model(settings, tmp_path / "none.gguf")
    with Memory.open(home, missing, embedder=embedder(missing)) as memory:
        memory.mark(make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker."))
        assert not memory.settle(30)
        assert memory.notice is not None
        assert "none.gguf" in str(memory.notice)
        assert "using keyword search only" in str(memory.notice)
        assert memory.search("who is mendl")
