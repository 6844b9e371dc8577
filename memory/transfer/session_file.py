"""Export a thread: as Markdown to read, as JSON to process (`docs/sessions.md` has its keys).

In Markdown each message is a block quote, which ends whatever is left open inside it; a message that
could still affect what follows (HTML, link definitions) is put verbatim into a fence longer than any
inside. JSON has every character as it is stored and none that affects a terminal.

A file is readable by its owner alone and never overwrites another; a full disk leaves no partial
file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from memory.difference import CONTRAST_LABELS, Difference, Turn, now
from memory.errors import ThreadError
from memory.files.atomic_write import write_whole
from memory.journal.journal import Journal
from memory.journal.tables.threads import ThreadExport
from memory.settings.paths import expanded
from memory.text.counts import counted
from memory.transfer.export_schema import escape_unseen

SessionForm = Literal["md", "json"]
FORMS: tuple[SessionForm, ...] = ("md", "json")
VERSION = 1
_LONGEST_FILE_NAME = 60
_ACTS = re.compile(r"<[A-Za-z/!?]|^[\s>*+\d.)-]*\[[^\]\n]+\]:", re.MULTILINE)
_FENCE = re.compile(r"`{3,}")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")

Gate = Callable[[str], str]
"""Cleans untrusted text before it is written for a reader: removes invisible control characters."""


def to_json(told: ThreadExport) -> str:
    """Return a thread as one JSON document, one key per line."""
    body = {
        "discern": "session",
        "version": VERSION,
        "thread": told.thread,
        "at": now().isoformat(),
        "turns": [_turn(turn, _marks_on(told, turn)) for turn in told.turns],
    }
    lines = json.dumps(body, ensure_ascii=False, indent=1).split("\n")
    return "".join(f"{escape_unseen(line)}\n" for line in lines)


def _turn(turn: Turn, marks: list[Difference]) -> dict[str, Any]:
    return {
        "id": turn.id,
        "at": turn.at.isoformat(),
        "asked": turn.asked,
        "replied": turn.replied,
        "model": turn.model,
        "adapter": turn.adapter,
        "recalled": list(turn.recalled),
        "stopped": turn.stopped,
        "marks": [_mark(item) for item in marks],
    }


def _mark(item: Difference) -> dict[str, Any]:
    span = item.span
    return {
        "id": item.id,
        "at": item.at.isoformat(),
        "moment": item.moment.value,
        "kind": item.kind,
        "missed": item.contrast.missed,
        "lost": item.contrast.lost,
        "sounds": item.contrast.sounds,
        "note": item.note,
        "span": span and {"start": span.start, "end": span.end, "quote": span.quote},
        "state": item.state.value,
        "superseded_by": item.superseded_by,
        "scope": item.scope.value,
        "condition": item.condition,
        "rules": item.rules,
    }


def to_markdown(told: ThreadExport, gate: Gate) -> str:
    """Return a thread as Markdown; `gate` cleans text for display (`tui.terminal.sanitize.clean`)."""
    first, last = _when(told.turns[0].at), _when(told.turns[-1].at)
    span = first if first == last else f"{first} to {last}"
    parts = [
        f"# {_plain(gate(told.thread))}",
        f"{counted(len(told.turns), 'turn')}, {span}. Exported by Discern.",
    ]
    for turn in told.turns:
        spoke = _plain(gate(turn.model))
        spoke += f" with adapter {turn.adapter[:8]}" if turn.adapter else ""
        spoke += ", stopped" if turn.stopped else ""
        parts += [f"## You, {_when(turn.at)}", _message(gate(turn.asked))]
        parts += [f"### {spoke}", _message(gate(turn.replied))]
        for item in _marks_on(told, turn):
            parts += _marked(item, gate)
    return "\n\n".join(parts) + "\n"


def _marked(item: Difference, gate: Gate) -> Iterator[str]:
    kind = f", {_plain(gate(item.kind))}" if item.kind else ""
    yield f"**◆ marked: {item.moment.value}{kind}** ({item.id[:8]}, {item.state.value})"
    lines = (
        ("quote", item.span.quote if item.span else None),
        *((label, getattr(item.contrast, name)) for name, label in CONTRAST_LABELS.items()),
        ("note", item.note),
    )
    for name, text in lines:
        if text:
            yield f"*{name}*"
            yield _message(gate(text))


def _message(text: str) -> str:
    """Return a text as a block quote, or verbatim in a fence if it could affect the rest."""
    if not _ACTS.search(text):
        lines = text.strip("\n").split("\n")
        return "\n".join(f"> {line}".rstrip() for line in lines)
    fence = "`" * max(3, 1 + max((len(found) for found in _FENCE.findall(text)), default=0))
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _when(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _marks_on(told: ThreadExport, turn: Turn) -> list[Difference]:
    return [item for item in told.marks if item.turn == turn.id]


def written_as(told: ThreadExport, form: SessionForm, gate: Gate) -> str:
    """Return a thread in one of the two formats."""
    return to_json(told) if form == "json" else to_markdown(told, gate)


def free_path(folder: Path, thread: str, form: SessionForm) -> Path:
    """Return an unused path in `folder`, named after a thread."""
    stem = re.sub(r"[^\w.-]+", "-", thread)[:_LONGEST_FILE_NAME].strip("-.") or "thread"
    names = (f"{stem}{f'-{number}' if number > 1 else ''}.{form}" for number in range(1, 10_000))
    return next(path for name in names if not (path := folder / name).exists())


def write_session(journal: Journal, path: Path, text: str) -> Path:
    """Write a new file, recorded in the journal; return its absolute path.

    Raises:
        ThreadError: the path exists, or cannot be written; nothing was changed.
    """
    path = expanded(path).absolute()
    there = ThreadError("{path} already exists; choose another file", path=path)
    if path.exists():
        raise there
    journal.exported_copies.note(path)
    try:
        write_whole(path, text, new=True)
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise ThreadError(
            "cannot write {path}: {strerror}; choose a file in a writable folder",
            path=path,
            strerror=error.strerror,
        ) from error
    return path
