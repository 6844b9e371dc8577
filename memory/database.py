"""An open SQLite file of ours: durable transactions, safe for threads and for several processes.

WAL with `synchronous=FULL`: a commit is synced to the log before it returns, so what was acknowledged
survives a killed process and a power cut (https://sqlite.org/pragma.html#pragma_synchronous). A busy
timeout of ten seconds lets processes take turns. `secure_delete` overwrites what is removed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from memory.errors import HomeError
from memory.schema import copies, migrate

BUSY_SECONDS = 10
_FULL = "database or disk is full"


class Database:
    """The file and its transactions; the journal's parts build on it."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at `path`, whose folder must exist.

        Raises:
            HomeError: it cannot be opened or written, is damaged, or is from a newer Discern.
        """
        self.path = path
        self._lock = threading.RLock()
        with self._explained():
            self._connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.row_factory = sqlite3.Row
                for pragma in (
                    "journal_mode=wal",
                    "synchronous=full",
                    "foreign_keys=on",
                    "secure_delete=on",
                ):
                    self._connection.execute(f"pragma {pragma}")
                migrate(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HomeError(self._sentence(error)) from error

    def _sentence(self, error: sqlite3.Error) -> str:
        said = str(error)
        whole = "what was kept before is untouched"
        if isinstance(error, sqlite3.DatabaseError) and (
            "malformed" in said or "not a database" in said
        ):
            newest = newest_copy(self.path)
            mend = (
                f"`discern memory restore {newest}` goes back to the newest copy"
                if newest
                else "restore a backup with `discern memory restore FILE`, or move it aside"
            )
            return f"the journal {self.path} is damaged ({said}); {mend}"
        if "locked" in said or "busy" in said:
            return (
                f"the journal {self.path} is held by another process for over {BUSY_SECONDS} seconds; "
                f"{whole}, try again when it is done"
            )
        if "readonly" in said or "read-only" in said:
            return (
                f"the journal {self.path} or its folder is read-only, so nothing could be kept; "
                f"{whole}, give it write permission or set DISCERN_HOME to another folder"
            )
        if said == _FULL or "disk I/O error" in said:
            return (
                f"no room to write the journal {self.path} ({said}); {whole}, free some space on that "
                "disk and try again"
            )
        return (
            f"cannot use the journal {self.path}: {said}; {whole}, check free space and permissions "
            "of its folder"
        )

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return one transaction for `with`; what writes inside it joins it, all or nothing."""
        return self._writing()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a question in SQL; for rooms that keep a table of their own here."""
        return self._rows(sql, values)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            if (
                self._connection.in_transaction
            ):  # begun further out, by this thread: the lock says so
                yield self._connection
                return
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock, self._explained():
            return self._connection.execute(sql, values).fetchall()

    def fold_log(self) -> None:
        """Fold the write-ahead log into the file, so that removed text stands in neither."""
        with self._lock, self._explained():
            self._connection.execute("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        with self._lock:
            self._connection.close()


def newest_copy(path: Path) -> Path | None:
    """Return the newest backup or copy of the journal at `path` that lies beside it."""
    beside = [item for item in path.parent.glob(f"{path.stem}-*{path.suffix}") if item.is_file()]
    found = [*beside, *copies(path)]
    return max(found, key=lambda item: item.stat().st_mtime) if found else None
