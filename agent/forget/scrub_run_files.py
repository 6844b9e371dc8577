"""Remove forgotten text from the files of training runs: reports, events, attempts.

A run's folder has its report, its events and, for an attempt, the tokens that it was trained on. The
report keeps the result of a forgotten difference's lesson, but no text. The tokens of attempts and the
cached anchors, which may contain the user's own messages, are deleted and are created again when
needed. A running training does this itself when it ends (`trainer/lessons/journal_snapshot.py`). Links
are not followed; `linked` lists them.

The text of a deleted thread is removed likewise. Outside a difference's own lesson, texts shorter than
`MIN_SCRUBBED_CHARACTERS` characters stay, because they may be answers to other questions.
"""

from __future__ import annotations

import fcntl
import html
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from memory.difference import Difference
from memory.errors import FileError, HomeError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import open_file, parse_json, read_bytes
from memory.files.disk_reserve import is_full
from memory.settings.paths import Home

MIN_SCRUBBED_CHARACTERS = 8
GONE = "(forgotten)"
_KEPT_KEYS = ("difference", "kind", "fate", "cause")
_TEXTS = (".json", ".jsonl", ".log", ".txt", ".html")
_TOKENS = (".npz", ".zip")
_REPORT = "report.json"
_FEW_TEXTS = 100
_LARGEST = 256 << 20
_ANCHORS = "anchors"


def erase_from_runs(home: Home, versions: Sequence[Difference]) -> int:
    """Remove the text of a difference, given in all its versions, from the files of runs.

    Return how many files were changed or deleted.

    Raises:
        HomeError: a file cannot be written; call it again to continue.
    """
    return _erase(home, versions[-1].id, set(_texts(versions)))


def form_file(home: Home, difference: str) -> Path:
    """Return the path of a difference's edit form that could not be read."""
    return home.state / f"edit-{difference[:8]}.toml"


def erase_talk_from_runs(home: Home, said: Iterable[str]) -> int:
    """Remove the text of a thread from the files of runs; return how many were changed or deleted.

    Raises:
        HomeError: a file cannot be written; call it again to continue.
    """
    return _erase(
        home, "", {text.strip() for text in said if len(text.strip()) >= MIN_SCRUBBED_CHARACTERS}
    )


def _erase(home: Home, identity: str, words: Collection[str]) -> int:
    """Remove `words` everywhere, and all text of the lesson of the difference `identity` ("": none)."""
    texts = sorted(words, key=len, reverse=True)
    changed = 0
    try:
        if identity and home.holds(form := form_file(home, identity)):
            form.unlink(missing_ok=True)
        for folder in _finished(home):
            for path in sorted(folder.rglob("*")):
                if path.is_symlink() or not path.is_file():
                    continue
                if path.suffix in _TEXTS:
                    changed += _scrub(path, identity, texts)
                elif path.suffix in _TOKENS:
                    path.unlink()
                    changed += 1
        anchors = home.cache / _ANCHORS
        if not unfinished(home) and home.holds(anchors) and anchors.is_dir():
            shutil.rmtree(anchors, ignore_errors=True)
    except OSError as error:
        raise HomeError(
            "cannot remove the forgotten text from {filename}: {strerror}; fix the cause and "
            "forget it again",
            filename=error.filename,
            strerror=error.strerror,
        ) from error
    return changed


def unfinished(home: Home) -> list[Path]:
    """Return the folders of running trainings."""
    return [folder for folder in own_runs(home) if not _ended(folder)] if _training(home) else []


def linked(home: Home) -> list[Path]:
    """Return the links among the files of trainings; their targets are left alone."""
    found = [path for path in (home.runs, home.cache / _ANCHORS) if not home.holds(path)]
    if home.holds(home.runs):
        found += [path for path in home.runs.rglob("*") if path.is_symlink()]
    return sorted(path for path in found if path.exists())


def _finished(home: Home) -> list[Path]:
    going_on = set(unfinished(home))
    return [folder for folder in own_runs(home) if folder not in going_on]


def own_runs(home: Home) -> list[Path]:
    """Return the folders of trainings, the oldest first, without links."""
    found = home.runs.glob("*") if home.holds(home.runs) else ()
    return sorted(path for path in found if path.is_dir() and not path.is_symlink())


def _ended(folder: Path) -> bool:
    return (folder / _REPORT).exists()


def _training(home: Home) -> bool:
    """Whether a training is running."""
    try:
        with open_file(home.state / "training.lock") as file:
            # A shared lock, which filelock lacks: a check must not prevent a training from starting.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except (OSError, FileError):
        return True
    return False


def _texts(versions: Sequence[Difference]) -> Iterator[str]:
    for item in versions:
        contrast = item.contrast
        parts = (
            item.asked,
            item.replied,
            contrast.missed,
            contrast.lost,
            contrast.sounds,
            item.note,
            item.condition,
            *(item.rules or ()),
        )
        for text in parts:
            if text and len(text.strip()) >= MIN_SCRUBBED_CHARACTERS:
                yield text.strip()


def _scrub(path: Path, identity: str, texts: Sequence[str]) -> int:
    """Rewrite a JSON, JSON lines or text file without the texts; return 1 if it had any, else 0.

    A file that cannot be read, or is too large to be ours, is deleted.
    """
    try:
        before = read_bytes(path, _LARGEST).decode(errors="replace")
    except (FileError, OSError):
        path.unlink()
        return 1
    texts = _likely(before, texts)
    if path.suffix == ".jsonl":
        after = "".join(
            _rewritten(line, identity, texts, None) + "\n" for line in before.splitlines()
        )
    elif path.suffix == ".json":
        after = _rewritten(before, identity, texts, 1)
    else:
        after = _without(before, _escaped(texts))
    if after == before:
        return 0
    content = after.encode(errors="backslashreplace")  # lone surrogates, which JSON can escape
    try:
        write_whole(path, content)
    except OSError as error:
        if not is_full(error):
            raise
        _overwrite(path, content)
    return 1


def _overwrite(path: Path, content: bytes) -> None:
    """Overwrite a file in place, for a full disk; if that fails, delete it."""
    try:
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()


def _likely(held: str, texts: Sequence[str]) -> list[str]:
    """Return those of the texts whose start occurs in a file, plain or escaped.

    A long thread has thousands of texts; this scans the file only once.
    """
    if len(texts) < _FEW_TEXTS:
        return list(texts)
    heads = {held[at : at + MIN_SCRUBBED_CHARACTERS] for at in range(len(held))}
    return [
        text for text in texts if any(way[:MIN_SCRUBBED_CHARACTERS] in heads for way in _ways(text))
    ]


def _rewritten(text: str, identity: str, texts: Sequence[str], indent: int | None) -> str:
    try:
        value = parse_json(text)
    except ValueError:  # cut off, or damaged
        return _without(text, _escaped(texts))
    clean = _clean(value, identity, texts)
    return text if clean == value else json.dumps(clean, ensure_ascii=False, indent=indent)


def _clean(value: Any, identity: str, texts: Sequence[str], own: bool = False) -> Any:
    if isinstance(value, str):
        return (GONE if value else value) if own else _without(value, texts)
    if isinstance(value, list):
        return [_clean(item, identity, texts, own) for item in value]
    if isinstance(value, dict):
        own = own or (bool(identity) and value.get("difference") == identity)
        return {
            key: item if own and key in _KEPT_KEYS else _clean(item, identity, texts, own)
            for key, item in value.items()
        }
    return value


def _escaped(texts: Sequence[str]) -> list[str]:
    """Return the texts in every form that they may have in HTML or in damaged JSON."""
    return sorted({way for text in texts for way in _ways(text)}, key=len, reverse=True)


def _ways(text: str) -> tuple[str, ...]:
    plain, ascii_only = (json.dumps(text, ensure_ascii=way)[1:-1] for way in (False, True))
    return text, plain, ascii_only, html.escape(text), html.escape(text, quote=False)


def _without(text: str, texts: Sequence[str]) -> str:
    for gone in texts:
        text = text.replace(gone, GONE)
    return text
