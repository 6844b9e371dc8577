"""The journal: one SQLite file with every turn, difference and night. The source of truth.

Several processes open it at once (chat, night, command line), one short transaction per change. When a
method that writes has returned, what it wrote is on disk (`memory/journal/database.py`). Its tables
are migrated when it is opened, after a copy of the file is made (`memory/journal/migrations.py`).
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from memory.files.disk_reserve import reserve_space
from memory.journal.database import Database
from memory.journal.tables.branches import Branches
from memory.journal.tables.exported_copies import ExportedCopies
from memory.journal.tables.facts import Drafts, Facts
from memory.journal.tables.forgetting import Forgetting
from memory.journal.tables.nights import Nights
from memory.journal.tables.stem_index import StemIndex
from memory.journal.tables.threads import Threads
from memory.journal.tables.turns import Turns
from memory.journal.tables.write_marks import Differences


class Journal:
    """An open journal: its tables over one database.

    Usable from any thread of the process; close it, or use it with `with`.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`, whose folder must exist.

        Raises:
            HomeError: it cannot be opened or written, is damaged, or is from a newer Discern.
        """
        self.path = path
        self.database = database = Database(path)
        self.facts = Facts(database)
        self.turns = Turns(database)
        self.branches = Branches(database, self.turns)
        self.differences = Differences(database)
        self.stems = StemIndex(database)
        self.forgetting = Forgetting(database)
        self.threads = Threads(
            database,
            turns=self.turns,
            branches=self.branches,
            differences=self.differences,
            forgetting=self.forgetting,
        )
        self.nights = Nights(database)
        self.drafts = Drafts(database, self.facts)
        self.exported_copies = ExportedCopies(database, self.facts)
        try:
            self.stems.refresh()
            self.forgetting.purge()
            reserve_space(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self.database.close()

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a transaction for `with`; every change made inside it is kept, or none."""
        return self.database.transaction()

    def check(self) -> str | None:
        """Return what SQLite finds wrong with the file; None if it is intact."""
        found = str(self.database.rows("pragma quick_check(1)")[0][0])
        return None if found == "ok" else found
