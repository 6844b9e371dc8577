"""The child process of `agent/llama/gguf/load_check.py`: tries everything that serving a model needs.

python -m agent.models.trial_load PATH
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from agent.child_process import run_as_child, tell
from agent.llama.embedding import GgufEmbedder
from agent.llama.engine import Engine
from agent.llama.gguf.header import read_header
from agent.llama.gguf.llama_file import ChatTemplate
from agent.llama.gguf.load_check import step
from agent.llama.gguf.shape_reader import read_shape, require_whole
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import rendered, require_template
from memory.errors import ModelError
from memory.sentence import Sentence
from memory.settings.settings import ModelSettings

CONTEXT = 2048
_TALKS = (
    ("user",),
    ("system", "user"),  # tools are part of the system prompt
    ("user", "assistant", "user"),
    ("system", *("user", "assistant") * 40, "user"),
)


def _try(path: Path) -> None:
    step(Sentence("reading its header"))
    header = read_header(path)
    require_whole(header, path)
    if header.own("pooling_type"):
        _embed(path)
        tell(embeds=True)
        return
    shape = read_shape(header, path)
    step(Sentence("rendering its chat template"))
    _render(path, header.template)

    step(Sentence("loading it"))
    context = min(CONTEXT, shape.context)
    settings = ModelSettings(path="", context=context, threads=0, gpu_layers=0)
    with Engine(path, settings) as engine:
        step(Sentence("generating text with it"))
        _generate(path, engine)
    tell(embeds=False)


def _render(path: Path, template: ChatTemplate) -> None:
    try:
        for roles in _TALKS:
            require_template(template, roles)
    except ModelError as error:
        raise ModelError(
            "cannot use the model {path}: {sentence}", path=path, sentence=error
        ) from error


def _generate(path: Path, engine: Engine) -> None:
    """Generate a few tokens. A model may end its turn at once, but must not compute NaN."""
    prompt = engine.tokenize(rendered(engine.info.template, "Hello"), special=True)
    prompt = (prompt or [engine.end_of_turn])[: engine.info.context - 8]
    made = engine.generate(prompt, Sampling(max_tokens=4)).run()
    tokens = [*prompt, *made.tokens, engine.end_of_turn]
    if not all(np.isfinite(row).all() for row in engine.log_probabilities(tokens, len(prompt))):
        raise ModelError(
            "cannot use the model {path}: it computes NaN, so its weights are damaged; choose "
            "another GGUF",
            path=path,
        )


def _embed(path: Path) -> None:
    step(Sentence("embedding a text with it"))
    embedder = GgufEmbedder(path, gpu_layers=0)
    vector = embedder.query("Hello")
    embedder.close()
    if not np.isfinite(vector).all():
        raise ModelError(
            "cannot use the model {path}: it returns NaN instead of vectors; choose another GGUF",
            path=path,
        )


if __name__ == "__main__":
    sys.exit(run_as_child(lambda: _try(Path(sys.argv[1]))))
