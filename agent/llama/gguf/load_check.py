"""Check whether a GGUF can be served, in a child process.

Everything that opens a model checks it here first (`Engine.open`, the embedder, `discern model`,
`discern doctor`), so a file is refused with the same sentence everywhere. The child
(`agent/models/trial_load.py`) loads the file once: it reads the header, renders the chat template
for several conversations and generates a few tokens. A file that aborts llama.cpp or loops forever ends
the child only. A file that passes is remembered in the cache by its sha256; one that fails is checked
again each time. Whether it can be trained is checked by `trainer/evaluate/torch_parity.py`.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from agent.adapters import base_sha256, remembered_sha256
from agent.child_process import ChildResult, ask_child, tell
from agent.llama.gguf.llama_file import require_gguf
from memory.errors import ModelError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import SMALL, read_json
from memory.sentence import Sentence
from memory.settings.paths import Home, expanded

RULES = 2
"""Increased when the check changes, so that remembered files are checked again."""
_SOURCE = re.compile(r"\S*/(?=[^/\s]+:\d+: )")
"""The path of llama.cpp's source file in its abort message."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a file can be used for: chatting or, with `embeds`, vectors for the memory."""

    embeds: bool


def judge(path: Path) -> LoadResult:
    """Return what the GGUF at `path` can be used for; takes a second or more for a new file.

    Raises:
        ModelError: it cannot be served.
    """
    path = expanded(path).absolute()
    require_gguf(path, ModelError)
    cache = Home.locate().cache
    if (known := recall(path, cache, "serves")) is not None:
        return LoadResult(embeds=bool(known))
    size, changed = path.stat().st_size, path.stat().st_mtime_ns
    result = ask_child("agent.models.trial_load", str(path), seconds=60 + size / 20e6)
    if "embeds" not in result.values:
        raise ModelError(result.sentence("refused") or refusal(path, result))
    if (size, changed) == (path.stat().st_size, path.stat().st_mtime_ns):
        remember(path, cache, "serves", result.values["embeds"])
    return LoadResult(embeds=bool(result.values["embeds"]))


def require_chat_model(path: Path) -> None:
    """Raise ModelError for a file that cannot chat.

    Raises:
        ModelError: see `judge`.
    """
    if judge(path).embeds:
        raise ModelError(
            "the model {path} is an embedding model and cannot chat; `discern model use {path}` "
            "uses it for recall",
            path=path,
        )


def refusal(path: Path, result: ChildResult) -> Sentence:
    """Return why a file was refused when the child ended without reporting a reason."""
    doing = result.sentence("doing") or ""
    reason = _SOURCE.sub("", result.last_error) or result.status
    why = (
        Sentence("{doing} takes too long", doing=doing)
        if result.status is None
        else Sentence("{doing} crashes the test process ({reason})", doing=doing, reason=reason)
    )
    return Sentence("cannot use the model {path}: {why}; choose another GGUF", path=path, why=why)


def step(doing: Sentence) -> None:
    """Report to the parent, from within the child, what is tried next."""
    tell(doing=doing)


# --- what is remembered --------------------------------------------------------------------------


def recall(path: Path, cache: Path, what: str) -> bool | None:
    """Return what is remembered about a file under the name `what`; None for nothing."""
    if (sha256 := remembered_sha256(path, cache)) is None:
        return None
    try:
        return bool(read_json(_kept(cache, sha256, what), SMALL)["found"])
    except (OSError, ValueError, KeyError):
        return None


def remember(path: Path, cache: Path, what: str, found: bool) -> None:
    """Remember a result for a file; a cache that cannot be written only costs time."""
    with suppress(OSError):
        file = _kept(cache, base_sha256(path, cache), what)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, json.dumps({"found": found}))


def _kept(cache: Path, sha256: str, what: str) -> Path:
    tried_with = f"{RULES}-{version('llama-cpp-python')}"
    return cache / "judged" / f"{sha256[:40]}-{what}-{tried_with}.json"
