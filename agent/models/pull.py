"""Model files from the Hugging Face hub: the only file of Discern that talks to the network.

`look` asks for size, licence and sha256; `pull` fetches. What was fetched stays in a `.part` file when
the line breaks, and the next call goes on from there; the file gets its name when its sha256 is the
hub's. A server of one's own is named by `HF_ENDPOINT`, a token by `HF_TOKEN`, as everywhere.

Refuses a file whose sha256 the hub does not tell, and one that does not match it (it is deleted).
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

from agent.llama.llama_file import require_gguf
from agent.models.models import models_folder
from memory.errors import HomeError, ModelError
from memory.sentence import verbatim
from memory.settings.settings import Home

ENDPOINT = "https://huggingface.co"
_SHA = re.compile(r"[0-9a-f]{64}\Z")
_SPARE = 64 << 20

Progress = Callable[[int, int], None]


class PullStopped(Exception):  # noqa: N818 - no error: somebody wished it
    """Raised by whoever hears the progress, to end a `pull`; what was fetched is kept."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A file as the hub offers it. `size` in bytes; `licence` "unknown" where none is told;
    `have` bytes are here already from a call that was cut off."""

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
        """Where the unfinished file is kept; another version of it has another name."""
        return self.target.with_name(f".{self.target.name}.{self.sha256[:12]}.part")


def look(home: Home, repo: str, file: str) -> Offer:
    """Ask the hub for a file's size, licence and sha256; nothing is fetched.

    Raises:
        ModelError: there is no such file, or the hub cannot be reached or does not tell its sha256.
    """
    import huggingface_hub as hub
    from huggingface_hub.file_download import get_hf_file_metadata

    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    try:
        url = hub.hf_hub_url(repo, file, endpoint=endpoint)
        facts = get_hf_file_metadata(url, endpoint=endpoint)
        licence = _licence(hub.HfApi(endpoint=endpoint).model_info(repo))
    except Exception as error:  # the hub's own errors, and whatever the line brings
        raise ModelError(verbatim(_why(repo, file, endpoint, error))) from error
    if facts.size is None or not _SHA.match(facts.etag or ""):
        raise ModelError(
            "{endpoint} does not tell size and sha256 of {repo}:{file}, so it could not be "
            "checked; fetch it by yourself and name its path with `discern model use PATH`",
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


def pull(offer: Offer, progress: Progress = lambda done, total: None) -> Path:
    """Fetch what `look` found, from where an earlier call stopped; returns the file's path.

    `progress` hears bytes done and in all; it may raise `PullStopped`, which ends the pull.

    Raises:
        ModelError: the line broke (what was fetched is kept), or the sha256 is not the hub's.
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
                "{file} takes {size:.1f} GB and {parent} has {free:.1f} GB free; make room "
                "and pull again",
                file=offer.file,
                size=(offer.size - offer.have) / 1e9,
                parent=target.parent,
                free=free / 1e9,
            )
        _fetch(offer, progress)
        if _sha256(part) != offer.sha256:
            part.unlink()
            raise ModelError(
                "what came as {repo}:{file} is not what the hub describes (its sha256 "
                "differs) and was deleted; pull again",
                repo=offer.repo,
                file=offer.file,
            )
        require_gguf(part, "model", ModelError)
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


def _fetch(offer: Offer, progress: Progress) -> None:
    import huggingface_hub as hub
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

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
            if done > offer.size:  # more came than there is: nothing of it can be trusted
                file.truncate(0)
                done = 0
            why = _why(offer.repo, offer.file, endpoint, error)
            raise ModelError(
                "{why}; {done:,.0f} of {size:,.0f} MB are kept, pull again to go on from there",
                why=why,
                done=done / 1e6,
                size=offer.size / 1e6,
            ) from error


def _bar(progress: Progress, size: int) -> Any:
    """Return a class that `http_get` takes for tqdm and that tells `progress`."""

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


def _why(repo: str, file: str, endpoint: str, error: Exception) -> str:
    kind = type(error).__name__
    if "Gated" in kind:
        return (
            f"{repo} is only given to those who accepted its terms; do so on its page, set HF_TOKEN"
        )
    if "NotFound" in kind:
        return f"{endpoint} has no {repo}:{file}; check both names"
    first = (str(error).strip().splitlines() or [kind])[0]
    return f"cannot get {repo}:{file} from {endpoint} ({first[:160]})"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
