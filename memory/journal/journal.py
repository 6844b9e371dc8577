"""The journal: one SQLite file with every turn, difference and night. The truth.

Several processes open it at once (chat, night, command line), one short transaction per change. When a
method that writes has returned, what it wrote is on disk (`memory/journal/database.py`). Its tables
are brought up to date when it is opened, after a copy was put beside it
(`memory/journal/schema.py`).

Its parts are `turns.py`, `branches.py`, `marks.py` (the differences), `forgetting.py`, `threads.py` and
`nights.py`.
"""

from __future__ import annotations

from pathlib import Path

from memory.files.disk_reserve import keep_room
from memory.journal.nights import Nights
from memory.journal.threads import Threads


class Journal(Threads, Nights):
    """An open journal. Usable from any thread of the process; close it, or use it with `with`."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at `path`, whose folder must exist.

        Raises:
            HomeError: it cannot be opened or written, is damaged, or is from a newer Discern.
        """
        super().__init__(path)
        try:
            self.refresh_stems()
            self.fold_what_was_forgotten()
            keep_room(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def fact(self, name: str) -> str | None:
        """Return a remembered value, such as the thread last spoken in."""
        rows = self._rows("select value from facts where name = ?", (name,))
        return str(rows[0]["value"]) if rows else None

    def set_fact(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        with self._writing() as connection:
            connection.execute(
                "insert into facts values (?, ?) "
                "on conflict (name) do update set value = excluded.value",
                (name, value),
            )

    def check(self) -> str | None:
        """Return what SQLite finds wrong with the file; None when it is whole."""
        said = str(self._rows("pragma quick_check(1)")[0][0])
        return None if said == "ok" else said
