"""Model files: those known to work, and those on this machine.

Files are found in Discern's own folder, the Hugging Face cache, Ollama's blobs (through its manifests)
and LM Studio's folders. `agent/models/pull.py` downloads them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from agent.llama.gguf.llama_file import ChatTemplate
from agent.prompt.prompt import tail
from memory.errors import FileError, ModelError
from memory.files.bounded_read import open_file, read_json
from memory.settings.paths import Home, expanded

Use = Literal["chat", "embedding"]
BYTES_PER_WEIGHT = {"f16": 2.0, "q8_0": 1.07, "q6_k": 0.83, "q5_k_m": 0.72, "q4_k_m": 0.61}
"""Bytes per weight, roughly."""
MEMORY_PER_FILE_SIZE = 1.5
"""Memory that a model takes in use, context included, relative to its file, roughly."""
_USUAL = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": 0.0}
_OWN = {
    "temperature": "general.sampling.temp",
    "top_p": "general.sampling.top_p",
    "top_k": "general.sampling.top_k",
    "min_p": "general.sampling.min_p",
}
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf\Z")


@dataclass(frozen=True, slots=True)
class Known:
    """A model from models.toml; `files` maps a precision to a file name, the highest first."""

    name: str
    repo: str
    files: Mapping[str, str]
    parameters: float
    use: Use


@dataclass(frozen=True, slots=True)
class Found:
    """A model file on this machine: its name, path and size, and the program it belongs to."""

    name: str
    path: Path
    size: int
    whose: Literal["discern", "hub", "ollama", "lmstudio"]


@cache
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("models.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def known_models() -> tuple[Known, ...]:
    """Return the models of models.toml."""
    return tuple(Known(name, **values) for name, values in _table()["known"].items())


def recommended(
    architecture: str, metadata: Mapping[str, Any], *, thinking: bool
) -> dict[str, float]:
    """Return the recommended temperature, top_p, top_k and min_p.

    The file's `metadata` takes precedence over models.toml.
    """
    table = _table()["sampling"]
    made = (thinking and table.get(f"{architecture}-thinking")) or table.get(architecture, {})
    found = {name: float(value) for name, value in {**_USUAL, **made}.items()}
    for name, key in _OWN.items():
        if key in metadata:
            with suppress(TypeError, ValueError):
                found[name] = float(metadata[key])
    return found


def resolve(name: str, quant: str | None = None) -> tuple[str, str]:
    """Return the hub's (repository, file) for a known name or `owner/name:file.gguf`.

    Without `quant`, the highest precision that fits the free memory is taken.

    Raises:
        ModelError: the name or precision is unknown, or the file name is not valid.
    """
    if ":" in name:
        repo, _, file = name.partition(":")
        plain = re.fullmatch(r"[\w.-]+/[\w.-]+", repo) and ".." not in file.split("/")
        if not plain or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*\.gguf", file):
            raise ModelError("{name!r} is not in the form owner/name:file.gguf", name=name)
        return repo, file
    found = next((item for item in known_models() if item.name == name.lower()), None)
    if found is None:
        names = ", ".join(item.name for item in known_models())
        raise ModelError(
            "there is no model named {name!r}; use one of {names}, or owner/name:file.gguf",
            name=name,
            names=names,
        )
    chosen = quant or advised(found)
    if chosen not in found.files:
        raise ModelError(
            "{name} is available as {files}, not as {chosen}",
            name=found.name,
            files=", ".join(found.files),
            chosen=chosen,
        )
    return found.repo, found.files[chosen]


def advised(model: Known, free: int | None = None) -> str:
    """Return the highest precision of `model` that fits `free` bytes, or else the lowest.

    `free` is by default the free memory.
    """
    free = free_memory() if free is None else free
    for quant in model.files:
        if model.parameters * 1e9 * BYTES_PER_WEIGHT[quant] * MEMORY_PER_FILE_SIZE < free:
            return quant
    return list(model.files)[-1]


def free_memory() -> int:
    """Return roughly how many bytes of memory are free.

    Where the system does not report it, two thirds of all memory.
    """
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 2 / 3)


def models_folder(home: Home) -> Path:
    """Return the folder of downloaded models."""
    return home.data / "models"


def find_models(home: Home, environ: Mapping[str, str] | None = None) -> list[Found]:
    """Return the model files on this machine, each once, Discern's own first."""
    env = os.environ if environ is None else environ
    user = Path(env.get("HOME") or Path.home())
    seen: set[Path] = set()
    found: list[Found] = []
    for item in (*_ours(home), *_hub(env, user), *_ollama(env, user), *_lmstudio(user)):
        real = item.path.resolve()
        if real not in seen:
            seen.add(real)
            found.append(item)
    return found


def find_model(home: Home, name: str) -> Path:
    """Return the file for `name`: a path, a known model that was downloaded, or one of `find_models`.

    Raises:
        ModelError: no file has that name, or several have.
    """
    path = expanded(name)
    if path.is_file() or (name.endswith(".gguf") and "/" in name and ":" not in name):
        return path.absolute()
    wanted = name.lower()
    here = find_models(home)
    for known in known_models():
        if known.name == wanted:
            files = {f"{known.repo}:{file}".lower() for file in known.files.values()}
            here = [item for item in here if item.name.lower() in files]
            if not here:
                raise ModelError(
                    "{name} is not on this machine; `discern model pull {name}` downloads it",
                    name=name,
                )
            return max(here, key=lambda item: item.size).path
    fits = [item for item in here if item.name.lower() == wanted]
    fits = fits or [item for item in here if wanted in item.name.lower()]
    if len(fits) == 1:
        return fits[0].path
    if not fits:
        raise ModelError(
            "no file matches {name!r}; choose one from `discern model list`, or give a path",
            name=name,
        )
    raise ModelError(
        "{count} files match {name!r}; choose one from `discern model list`, or give a path",
        count=len(fits),
        name=name,
    )


def _ours(home: Home) -> Iterator[Found]:
    folder = models_folder(home)
    for path in _ggufs(folder, "*/*/**/*.gguf"):
        owner, name, *rest = path.relative_to(folder).parts
        yield from _found(f"{owner}/{name}:{'/'.join(rest)}", path, "discern")


def _hub(env: Mapping[str, str], user: Path) -> Iterator[Found]:
    home = Path(
        env.get("HF_HOME") or Path(env.get("XDG_CACHE_HOME") or user / ".cache", "huggingface")
    )
    folder = Path(env.get("HF_HUB_CACHE") or home / "hub")
    for path in _ggufs(folder, "models--*/snapshots/*/**/*.gguf"):
        parts = path.relative_to(folder).parts
        repo = parts[0].removeprefix("models--").replace("--", "/")
        yield from _found(f"{repo}:{'/'.join(parts[3:])}", path, "hub")


def _ollama(env: Mapping[str, str], user: Path) -> Iterator[Found]:
    places = [Path(env["OLLAMA_MODELS"])] if env.get("OLLAMA_MODELS") else []
    places += [user / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]
    for folder in places:
        for manifest in _ggufs(folder / "manifests", "*/*/*/*"):
            try:
                layers = read_json(manifest)["layers"]
                digests = [x["digest"] for x in layers if x["mediaType"] == _OLLAMA_MODEL]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            space, name, tag = manifest.parts[-3:]
            title = f"{name}:{tag}" if space == "library" else f"{space}/{name}:{tag}"
            for digest in digests:
                if isinstance(digest, str) and _DIGEST.match(digest):
                    path = folder / "blobs" / digest.replace(":", "-")
                    yield from _found(title, path, "ollama")


def _lmstudio(user: Path) -> Iterator[Found]:
    for folder in (user / ".lmstudio" / "models", user / ".cache" / "lm-studio" / "models"):
        for path in _ggufs(folder, "*/*/*.gguf"):
            owner, name, file = path.parts[-3:]
            yield from _found(f"{owner}/{name}:{file}", path, "lmstudio")


def _ggufs(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    except OSError:
        return []  # the folder cannot be read


def _found(name: str, path: Path, whose: Any) -> Iterator[Found]:
    part = _PART.search(path.name)
    if part and part[1] != "00001":
        return  # a later part of a split file
    try:
        with open_file(path) as file:
            if file.read(4) == b"GGUF":
                yield Found(name, path, path.stat().st_size, whose)
    except (OSError, FileError):
        return


def thinks(template: ChatTemplate) -> Literal["never", "if asked", "always"]:
    """Return whether a chat template lets its model think before it answers."""
    on, off = tail(template, thinking=True), tail(template, thinking=False)
    if "<think>" in on and "</think>" not in on:
        return "always"
    return "if asked" if on != off else "never"
