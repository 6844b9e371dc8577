"""Lines of an export as another program may have written them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memory.memory import Memory
from memory.transfer.export_schema import header
from memory.transfer.import_export import batches


def line(**changes: Any) -> dict[str, Any]:
    """Return a line of an export, with changes; a change to ... leaves the key out."""
    whole = {
        "id": "a1",
        "at": "2026-11-20T10:00:00+00:00",
        "moment": "error",
        "asked": "What is the capital of Zubrowka?",
        "replied": "Paris.",
        "sounds": "Lutz.",
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not ...}


def write(path: Path, *lines: dict[str, Any] | str | bytes) -> Path:
    """Write an export of these lines, after a header."""
    parts = [header(len(lines)), *lines]
    path.write_bytes(
        b"\n".join(
            part if isinstance(part, bytes)
            else part.encode() if isinstance(part, str) else json.dumps(part).encode()
            for part in parts
        )
        + b"\n"
    )  # fmt: skip
    return path


def untouched(memory: Memory) -> bool:
    return not memory.journal.differences.all() and not batches(memory)
