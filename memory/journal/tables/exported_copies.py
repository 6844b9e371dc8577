"""Exported copies of stored text outside the home, and temporary files of interrupted exports.

An export is recorded before it is written, so that leftovers are known even if the process is killed.
Leftovers in the home are removed at the next start; those beside an export by `forget` and by the
next export into that folder.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from memory.difference import now
from memory.files import atomic_write
from memory.files.sqlite_file import refuse_open_file
from memory.journal.database import Database
from memory.journal.tables.facts import Facts
from memory.settings.paths import Home, expanded

_COPIES = "copies"
_KEPT = 200
# Temporary names of earlier versions.
_EARLIER = re.compile(
    r"\.(journal\.sqlite|config\.toml|report\.json|events\.jsonl|training\.log)\.[0-9a-f]{8}(-journal)?"
    r"|journal\.sqlite\.before-\d+\.part(-journal)?|\.tmp-[0-9a-f]{16}|\.(report|control)\.tmp"
    r"|.+\.\d+\.tmp\.npz"
)


class ExportedCopies:
    """The files to which differences or conversations were exported."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    def note(self, path: Path) -> None:
        """Record, before it is written, that differences or conversations are exported to a file.

        Raises:
            HomeError: it is the journal itself or its log, or the journal cannot be written.
        """
        path = expanded(path).absolute()
        refuse_open_file(path)
        with self._database.transaction():
            kept = [(known, at) for known, at in self.noted() if known != path][1 - _KEPT :]
            kept.append((path, now()))
            rows = [[str(known), at.isoformat()] for known, at in kept]
            self._facts.set(_COPIES, json.dumps(rows))

    def noted(self) -> list[tuple[Path, datetime]]:
        """Return the files and when they were written, latest last; some may be gone."""
        rows = json.loads(self._facts.get(_COPIES) or "[]")
        return [(Path(path), datetime.fromisoformat(at)) for path, at in rows]

    def sweep(self) -> int:
        """Remove scratch folders of interrupted exports next to these files; return their number."""
        return sum(
            atomic_write.sweep(folder) for folder in {path.parent for path, _ in self.noted()}
        )


def sweep_home(home: Home) -> int:
    """Remove temporary files of interrupted writes in the home; return how many there were."""
    count = 0
    for folder in _folders(home):
        count += atomic_write.sweep(folder)
        for path in _earlier(folder):
            with suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                count += 1
    return count


def unfinished(home: Home, exported: ExportedCopies) -> list[Path]:
    """Return the partial copies, in the home or where an export was to be written."""
    found = [path for folder in _folders(home) for path in atomic_write.unfinished(folder)]
    for path, _ in exported.noted():
        found += atomic_write.unfinished(path.parent, path.name)
    return list(dict.fromkeys(found))


def _folders(home: Home) -> Iterator[Path]:
    """Yield the folders of the home that files are written to, without links out of it."""
    every = [home.config, home.data, home.state, home.cache]
    every += [home.adapters, home.cache / "anchors", home.runs]
    with suppress(OSError):
        every += sorted(home.runs.iterdir())
    for folder in dict.fromkeys(every):
        if folder.is_dir() and home.holds(folder):
            yield folder


def _earlier(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [
            path
            for path in folder.iterdir()
            if _EARLIER.fullmatch(path.name) and not path.is_symlink()
        ]
    return []
