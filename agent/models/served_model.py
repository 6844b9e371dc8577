"""What the settings choose to serve: the model file, sampling parameters and the embedder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agent.llama.sampling_parameters import Sampling
from agent.models.models import recommended
from memory.settings.paths import expanded
from memory.settings.settings import Settings

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.recall.embedder import Embedder

STARTER = Path(__file__).parents[1] / "starter" / "starter.gguf"


def served_model(settings: Settings) -> Path:
    """Return the model file from the settings; the starter model when they name none."""
    return expanded(settings.model.path) if settings.model.path else STARTER


def sampling(settings: Settings, engine: Engine) -> Sampling:
    """Return the sampling parameters; those left open (below 0) are as recommended."""
    chosen = settings.sampling
    info = engine.info
    drawn = recommended(info.architecture, info.metadata, thinking=settings.chat.thinking)
    for name in drawn:
        if (value := getattr(chosen, name)) >= 0:
            drawn[name] = float(value)
    return Sampling(
        temperature=drawn["temperature"],
        top_p=drawn["top_p"],
        top_k=int(drawn["top_k"]),
        min_p=drawn["min_p"],
        repeat_penalty=chosen.repeat_penalty,
        seed=chosen.seed,
        max_tokens=chosen.max_tokens,
    )


def embedder(settings: Settings) -> Callable[[], Embedder] | None:
    """Return a function that loads the embedding model from the settings; None without one."""
    if not settings.memory.embedder:
        return None
    path, threads = expanded(settings.memory.embedder), settings.model.threads

    def load() -> Embedder:
        from agent.llama.embedding import GgufEmbedder
        from agent.llama.gguf.load_check import judge

        judge(path)
        return GgufEmbedder(path, threads=threads, gpu_layers=settings.model.gpu_layers)

    return load


def with_model(settings: Settings, path: str | None) -> Settings:
    """Return the settings with another model file; None changes nothing."""
    if path is None:
        return settings
    return settings.model_copy(update={"model": settings.model.model_copy(update={"path": path})})
