"""The one judge of a model file: whether a GGUF can be served.

Whatever opens a model asks here first (`Engine.open`, the embedder, `discern model`, the doctor): every
entry refuses a file in the same sentence. A child process loads the file once: the header's
numbers, the chat template with several talks, a few tokens generated. A file that aborts llama.cpp or
loops for ever ends the child, never its parent. A file that serves is remembered in the cache by its
sha256; a refused one is tried again each time. Whether it can be trained: `trainer/agreement.py`.

    python -m agent.judge PATH     the child
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.adapters import base_sha256, remembered_sha256
from agent.chat_template import ChatTemplate
from agent.children import Told, ask_child, run_as_child, tell
from agent.gguf_header import Header, read_header
from agent.llama_file import require_gguf
from agent.model_shape import read_shape
from memory.errors import ModelError
from memory.places import Home, expanded
from memory.reading import SMALL, read_json
from memory.whole import write_whole

if TYPE_CHECKING:
    from agent.engine import Engine

RULES = 2
"""Raised when the judge learns something, so that what it remembers is asked anew."""
CONTEXT = 2048
_SOURCE = re.compile(r"\S*/(?=[^/\s]+:\d+: )")
"""Where llama.cpp was compiled, in the line with which it aborts."""
_TALKS = (
    ("user",),
    ("system", "user"),  # tools are in the system prompt
    ("user", "assistant", "user"),
    ("system", *("user", "assistant") * 40, "user"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file serves for: talking, or (`embeds`) making vectors for the memory."""

    embeds: bool


def judge(path: Path) -> Verdict:
    """Return what the GGUF at `path` serves for; takes a second or more when it is new.

    Raises:
        ModelError: it cannot be served, and why.
    """
    path = expanded(path).absolute()
    require_gguf(path, "model", ModelError)
    cache = Home.locate().cache
    if (known := recall(path, cache, "serves")) is not None:
        return Verdict(embeds=bool(known))
    size, changed = path.stat().st_size, path.stat().st_mtime_ns
    told = ask_child("agent.judge", str(path), seconds=60 + size / 20e6)
    if "embeds" not in told.words:
        raise ModelError(told.words.get("refused") or refusal(path, told))
    if (size, changed) == (path.stat().st_size, path.stat().st_mtime_ns):
        remember(path, cache, "serves", told.words["embeds"])
    return Verdict(embeds=bool(told.words["embeds"]))


def require_chat_model(path: Path) -> None:
    """Refuse a file that cannot talk.

    Raises:
        ModelError: see `judge`.
    """
    if judge(path).embeds:
        raise ModelError(
            f"the model {path} is an embedding model and cannot chat; `discern model use {path}` uses "
            "it for the memory"
        )


def refusal(path: Path, told: Told) -> str:
    """Return why a file was refused on which the child ended without a word of its own."""
    doing, reason = told.words.get("doing", ""), _SOURCE.sub("", told.cause) or told.status
    why = (
        f"{doing} takes too long"
        if told.status is None
        else f"{doing} crashes the test process ({reason})"
    )
    return f"the model {path} cannot be used: {why}; choose another GGUF"


def step(doing: str) -> None:
    """Tell the parent, from within the child, what is tried next."""
    tell(doing=doing)


# --- what is remembered --------------------------------------------------------------------------


def recall(path: Path, cache: Path, what: str) -> bool | None:
    """Return what is remembered of a file under a name; None when nothing is."""
    if (sha256 := remembered_sha256(path, cache)) is None:
        return None
    try:
        return bool(read_json(_kept(cache, sha256, what), SMALL)["found"])
    except (OSError, ValueError, KeyError):
        return None


def remember(path: Path, cache: Path, what: str, found: bool) -> None:
    """Remember something of a file; a cache that cannot be written costs time, nothing else."""
    with suppress(OSError):
        file = _kept(cache, base_sha256(path, cache), what)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, json.dumps({"found": found}))


def _kept(cache: Path, sha256: str, what: str) -> Path:
    tried_with = f"{RULES}-{version('llama-cpp-python')}"
    return cache / "judged" / f"{sha256[:40]}-{what}-{tried_with}.json"


# --- the child -----------------------------------------------------------------------------------


def _try(path: Path) -> None:
    step("reading its header")
    header = read_header(path)
    _require_first_part(header, path)
    if header.own("pooling_type"):
        _embed(path)
        tell(embeds=True)
        return
    shape = read_shape(header, path)
    step("rendering its chat template")
    _render(path, header.template)
    from agent.engine import Engine
    from memory.home import ModelSettings

    step("loading it")
    context = min(CONTEXT, shape.context)
    settings = ModelSettings(path="", context=context, threads=0, gpu_layers=0)
    with Engine(path, settings) as engine:
        step("generating with it")
        _generate(path, engine)
    tell(embeds=False)


def _require_first_part(header: Header, path: Path) -> None:
    number, count = header.values.get("split.no", 0), header.values.get("split.count", 1)
    if number != 0:
        raise ModelError(
            f"the model {path} is part {number + 1 if isinstance(number, int) else number} of {count} "
            "of a split file; choose the first part, the others are found beside it"
        )


def _render(path: Path, template: ChatTemplate) -> None:
    from agent.prompt import require_template

    try:
        for roles in _TALKS:
            require_template(template, roles)
    except ModelError as error:
        sentence = str(error)
        raise ModelError(f"the model {path} cannot be served: {sentence}") from error


def _generate(path: Path, engine: Engine) -> None:
    """A model that ends its turn at once serves; one that computes NaN does not."""
    import numpy as np

    from agent.prompt import rendered
    from agent.sampling import Sampling

    prompt = engine.tokenize(rendered(engine.info.template, "Hello"), special=True)
    prompt = (prompt or [engine.end_of_turn])[: engine.info.context - 8]
    made = engine.generate(prompt, Sampling(max_tokens=4)).run()
    tokens = [*prompt, *made.tokens, engine.end_of_turn]
    if not all(np.isfinite(row).all() for row in engine.log_probabilities(tokens, len(prompt))):
        raise ModelError(
            f"the model {path} cannot be served: it computes NaN, so its weights are damaged; "
            "choose another GGUF"
        )


def _embed(path: Path) -> None:
    import numpy as np

    from agent.embedding import GgufEmbedder

    step("embedding a text with it")
    embedder = GgufEmbedder(path, gpu_layers=0)
    vector = embedder.query("Hello")
    embedder.close()
    if not np.isfinite(vector).all():
        raise ModelError(f"the model {path} returns NaN instead of vectors; choose another GGUF")


if __name__ == "__main__":
    sys.exit(run_as_child(lambda: _try(Path(sys.argv[1]))))
