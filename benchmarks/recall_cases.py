"""The messages and differences that recall is measured with (`tests/data/recall`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data" / "recall"
LANGUAGES = ("en", "ru")


@dataclass(frozen=True, slots=True)
class RecallCase:
    """A message; `asked` is the question of the difference that it should recall, or None."""

    language: str
    message: str
    asked: str | None
    tuning: bool


def known() -> list[dict[str, Any]]:
    """Return the differences of the set, each with its language."""
    return [
        {**json.loads(line), "language": language}
        for language in LANGUAGES
        for line in (DATA / f"{language}.jsonl").read_text("utf-8").splitlines()
    ]


def _tuning(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def cases() -> list[RecallCase]:
    """Return every message; all questions about one difference are in the same half."""
    every = [
        RecallCase(item["language"], message, item["asked"], _tuning(item["asked"]))
        for item in known()
        for message in item["questions"]
    ]
    for language in LANGUAGES:
        lines = (DATA / f"{language}_nothing.txt").read_text("utf-8").splitlines()
        every += [RecallCase(language, line, None, _tuning(line)) for line in lines]
    return every


def keep(journal: Any, items: Sequence[dict[str, Any]] | None = None) -> None:
    """Add `items` to `journal` as differences; by default every difference of the set."""
    from memory.difference import Contrast, Difference, Moment, new_id, now

    for item in known() if items is None else items:
        journal.differences.add(
            Difference(
                id=new_id(), turn=new_id(), thread="t", at=now(), moment=Moment.ERROR,
                asked=item["asked"], replied="?", kind=item["kind"],
                contrast=Contrast(sounds=item["sounds"]), model="m",
            )
        )  # fmt: skip
