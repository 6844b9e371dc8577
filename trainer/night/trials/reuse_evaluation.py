"""Keep the gate's verdict on a trial in its folder, so that a resumed run need not evaluate again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from memory.errors import FileError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import open_file, read_json
from memory.sentence import Stored, to_plain
from trainer.gate.publication_verdict import Verdict

if TYPE_CHECKING:
    from memory.difference import Difference
    from memory.settings.settings import Settings
    from trainer.lessons.lesson import Question
    from trainer.pipeline import Candidate

VERDICT_FILE = "verdict.json"
_VERDICT = TypeAdapter(Verdict)


def verdict_key(candidate: Candidate, settings: Settings, held_now: Sequence[bool]) -> str:
    """Return a digest of everything that the gate's verdict on `candidate` depends on."""
    lessons = candidate.lessons
    curriculum = lessons.curriculum
    with open_file(candidate.gguf) as file:
        adapter = hashlib.file_digest(file, "sha256").hexdigest()
    parts: list[object] = [
        adapter,
        lessons.base.sha256,
        [_recalled_text(item) for item in lessons.differences],
        [
            part.model_dump()
            for part in (settings.gate, settings.recall, settings.memory, settings.chat)
        ],
        list(map(bool, held_now)),
        [
            (lesson.chosen, *_prompts((lesson.question, *lesson.held_out, *lesson.places)))
            for lesson in curriculum.lessons
        ],
        curriculum.before,
        [(x.prompt, x.reply) for x in (*curriculum.near_misses, *curriculum.anchors)],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def keep_verdict(folder: Path, key: str, verdict: Verdict) -> None:
    """Write a verdict into the folder of its trial."""
    values = {item.name: getattr(verdict, item.name) for item in fields(verdict)}
    plain = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in values.items()
    }
    with suppress(OSError):  # without it, the gate evaluates again
        write_whole(
            folder / VERDICT_FILE, json.dumps({**to_plain(plain), "key": key}, ensure_ascii=False)
        )


def kept_verdict(folder: Path, key: str) -> Verdict | None:
    """Return the verdict kept under `key`; None if there is none, or it is damaged."""
    try:
        found = read_json(folder / VERDICT_FILE)
        if found.get("key") != key:
            return None
        return _VERDICT.validate_python(found, context=Stored(found))
    except (OSError, ValueError, FileError):
        return None


def _recalled_text(item: Difference) -> list[object]:
    """Return everything of a difference that decides when and how it is recalled."""
    return [
        item.fingerprint, item.kind, item.note, item.scope, item.condition, item.pinned,
        item.superseded_by, item.rules,
    ]  # fmt: skip


def _prompts(questions: Iterable[Question]) -> list[tuple[int, ...]]:
    return [question.prompt for question in questions]
