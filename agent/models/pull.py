"""Download model files from the Hugging Face hub. No other module of Discern uses the network.

`look` asks for size, licence and sha256; `pull` downloads. When the connection breaks, the data
stays in a `.part` file and the next call resumes it. The file gets its name once its sha256 matches
the hub's; a file that does not match is deleted, and one whose sha256 the hub does not give is
refused.

`HF_ENDPOINT` names another server and `HF_TOKEN` a token, as for the hub's own tools.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.llama.gguf.llama_file import require_gguf
from agent.models.models import models_folder
from memory.errors import HomeError, ModelError
from memory.sentence import Sentence
from memory.settings.paths import Home

ENDPOINT = "https://huggingface.co"
_SHA = re.compile(r"[0-9a-f]{64}\Z")
_SPARE = 64 << 20

OnProgress = Callable[[int, int], None]


class PullStopped(Exception):  # noqa: N818 - a signal, not an error
    """Raised by a progress callback to end a `pull`; the downloaded data is kept."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A file on the hub.

    `size` is in bytes and `licence` "unknown" where none is given; `have` bytes were downloaded by
    an earlier call that was interrupted.
    """

    repo: str
    file: str
    size: int
    sha256: str
    licence: str
    revision: str
    target: Path
    have: int = 0

    @property
    def part(self) -> Path:
        """The path of the unfinished download; each version of the file has its own."""
        return self.target.with_name(f".{self.target.name}.{self.sha256[:12]}.part")


def look(home: Home, repo: str, file: str) -> Offer:
    """Ask the hub for a file's size, licence and sha256; nothing is downloaded.

    Raises:
        ModelError: there is no such file, the hub cannot be reached, or it does not give the sha256.
    """
    import huggingface_hub as hub

    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    try:
        url = hub.hf_hub_url(repo, file, endpoint=endpoint)
        facts = hub.get_hf_file_metadata(url, endpoint=endpoint)
        licence = _licence(hub.HfApi(endpoint=endpoint).model_info(repo))
    except Exception as error:  # the hub's own errors, and those of the connection
        raise ModelError(_why(repo, file, endpoint, error)) from error
    if facts.size is None or not _SHA.match(facts.etag or ""):
        raise ModelError(
            "{endpoint} does not report the size and sha256 of {repo}:{file}, so the download "
            "could not be verified; download it yourself, then run `discern model use PATH`",
            endpoint=endpoint,
            repo=repo,
            file=file,
        )
    target = models_folder(home) / repo / file
    offer = Offer(
        repo, file, facts.size, str(facts.etag), licence, facts.commit_hash or "main", target
    )
    have = offer.part.stat().st_size if offer.part.exists() else 0
    return Offer(
        repo, file, offer.size, offer.sha256, licence, offer.revision, target, min(have, offer.size)
    )


def pull(offer: Offer, progress: OnProgress = lambda done, total: None) -> Path:
    """Download what `look` found, resuming an earlier call; return the file's path.

    `progress` is called with the bytes done and the total; it may raise `PullStopped` to end the pull.

    Raises:
        ModelError: the connection broke (the data is kept), or the sha256 does not match.
        HomeError: the disk is full or cannot be written.
    """
    target, part = offer.target, offer.part
    if target.exists() and target.stat().st_size == offer.size and _sha256(target) == offer.sha256:
        progress(offer.size, offer.size)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
        if free < offer.size - offer.have + _SPARE:
            raise HomeError(
                "{file} needs {size:.1f} GB, but {folder} has {free:.1f} GB free; free some space "
                "and pull again",
                file=offer.file,
                size=(offer.size - offer.have) / 1e9,
                folder=target.parent,
                free=free / 1e9,
            )
        _fetch(offer, progress)
        if _sha256(part) != offer.sha256:
            part.unlink()
            raise ModelError(
                "the downloaded file {repo}:{file} does not match the sha256 on the hub and was "
                "deleted; pull again",
                repo=offer.repo,
                file=offer.file,
            )
        require_gguf(part, ModelError)
        part.replace(target)
    except HomeError:
        raise
    except OSError as error:
        raise HomeError(
            "cannot write {target}: {strerror}; check free space and permissions",
            target=target,
            strerror=error.strerror or error,
        ) from error
    return target


def _fetch(offer: Offer, progress: OnProgress) -> None:
    import huggingface_hub as hub

    # Not public, and tested with one version: `hf_hub_download` cannot write to a file of our choice.
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented

    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    url = hub.hf_hub_url(offer.repo, offer.file, endpoint=endpoint, revision=offer.revision)
    have = offer.part.stat().st_size if offer.part.exists() else 0
    if have > offer.size:
        offer.part.unlink()
        have = 0
    with offer.part.open("ab") as file:
        try:
            http_get(
                url,
                file,
                resume_size=have,
                headers=build_hf_headers(),
                expected_size=offer.size,
                tqdm_class=_bar(progress, offer.size),
            )
        except PullStopped:
            raise
        except Exception as error:
            file.flush()
            done = file.tell()
            if done > offer.size:  # more than the file has: none of it can be trusted
                file.truncate(0)
                done = 0
            why = _why(offer.repo, offer.file, endpoint, error)
            raise ModelError(
                "{why}; {done:,.0f} of {size:,.0f} MB are kept: pull again to resume",
                why=why,
                done=done / 1e6,
                size=offer.size / 1e6,
            ) from error


def _bar(progress: OnProgress, size: int) -> Any:
    """Return a class that `http_get` uses like tqdm and that calls `progress`."""

    class Bar:
        def __init__(self, *_args: Any, initial: int = 0, **_values: Any) -> None:
            self._done = initial

        def update(self, count: int = 1) -> None:
            self._done += count
            progress(self._done, size)

        def close(self) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_exc: object) -> None:
            pass

    return Bar


def _licence(info: Any) -> str:
    card = getattr(info, "card_data", None)
    named = getattr(card, "license", None) if card is not None else None
    if not named:
        tags = getattr(info, "tags", None) or []
        named = next((tag.partition(":")[2] for tag in tags if tag.startswith("license:")), None)
    return str(named or "unknown")


def _why(repo: str, file: str, endpoint: str, error: Exception) -> Sentence:
    kind = type(error).__name__
    if "Gated" in kind:
        return Sentence(
            "{repo} requires you to accept its terms; accept them on its page and set HF_TOKEN",
            repo=repo,
        )
    if "NotFound" in kind:
        return Sentence(
            "{endpoint} has no {repo}:{file}; check both names",
            endpoint=endpoint,
            repo=repo,
            file=file,
        )
    first = (str(error).strip().splitlines() or [kind])[0]
    return Sentence(
        "cannot download {repo}:{file} from {endpoint} ({first})",
        repo=repo,
        file=file,
        endpoint=endpoint,
        first=first[:160],
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
