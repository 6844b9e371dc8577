"""Read-only queries for shell completion: fast, and without side effects.

Nothing is created, locked or opened for writing. Data that cannot be read is skipped, because
completion must not print errors.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import memory
from memory.files.bounded_read import read_json, read_toml
from memory.files.sqlite_file import connect
from memory.settings.paths import Home
from memory.text.counts import counted

MAX_COMPLETIONS = 100
"""Maximum number of completions, latest first."""
_ADAPTER = re.compile(r"[0-9a-f]{12,64}\Z")

Pairs = list[tuple[str, str]]
"""Completion values, each with a short description."""


def threads(home: Home) -> Pairs:
    """Return the threads, the latest first."""
    rows = _rows(
        home,
        "select thread, count(*) as turns from turns group by thread order by max(seq) desc limit ?",
    )
    return [(str(name), counted(int(str(turns)), "turn")) for name, turns in rows]


def differences(home: Home) -> Pairs:
    """Return the differences, the latest first."""
    rows = _rows(
        home,
        "select id, moment, substr(asked, 1, 60) from differences order by seq desc limit ?",
    )
    return [(str(identity)[:8], f"{moment}: {asked}") for identity, moment, asked in rows]


def turns(home: Home) -> Pairs:
    """Return the turns, the latest first."""
    rows = _rows(home, "select id, substr(asked, 1, 60) from turns order by seq desc limit ?")
    return [(str(identity)[:8], str(asked)) for identity, asked in rows]


def adapters(home: Home) -> Pairs:
    """Return the adapters, the newest first."""
    found: list[tuple[str, str]] = []
    for path in _files(home.adapters, "*/manifest.json"):
        try:
            made = str(read_json(path)["created"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if _ADAPTER.match(path.parent.name):
            found.append((made, path.parent.name[:8]))
    return [(identity, made[:16].replace("T", " ")) for made, identity in sorted(found)[::-1]]


def runs(home: Home) -> Pairs:
    """Return the runs, the latest first."""
    return [(path.name, "") for path in reversed(_files(home.runs, "*")) if path.is_dir()]


def kinds(home: Home) -> Pairs:
    """Return the built-in kinds and the user's own."""
    shipped, own = Path(memory.__file__).with_name("kinds.toml"), home.config / "kinds.toml"
    return list(dict([*_kinds(shipped), *_kinds(own)]).items())


def _kinds(path: Path) -> Iterator[tuple[str, str]]:
    try:
        table = read_toml(path)
    except (OSError, ValueError):
        return
    for family, body in table.items():
        if isinstance(body, dict):
            if "shows" in body:
                yield family, str(body["shows"])
            for name, entry in body.items():
                if isinstance(entry, dict):
                    yield f"{family}/{name}", str(entry.get("shows", ""))


def _rows(home: Home, sql: str) -> list[tuple[object, ...]]:
    try:
        with closing(connect(home.journal, read_only=True, timeout=0.1)) as reader:
            return reader.execute(sql, (MAX_COMPLETIONS,)).fetchall()
    except sqlite3.Error:
        return []


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []
