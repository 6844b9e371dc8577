"""An open SQLite file: durable transactions, safe for threads and for several processes.

When `with transaction()` has been left, what it wrote is on disk; when it raises, nothing was
written. This relies on the following (sqlite.org/pragma.html, sqlite.org/wal.html):

- *WAL with `synchronous=FULL`*: each commit is synced into the write-ahead log before it returns. A
  killed process, a system crash or a power cut loses nothing committed; with NORMAL, which is common
  with WAL, a power cut may undo the last commits.
- *`fullfsync`*: on macOS a plain fsync leaves the data in the drive's own cache.
- *No checkpoint during a commit*: SQLite 3.7.0 to 3.51.2 can damage a file if a checkpoint runs while
  another process commits and restarts the log ("The WAL-reset bug"). SQLite's automatic checkpoints
  (PASSIVE) are of that kind, so they are off; ours are TRUNCATE, which holds the writers' lock.
- *A busy timeout* of ten seconds: processes take turns, and one that times out changes nothing.
- *`secure_delete`*: deleted content is overwritten.
- *Only SQLite opens the file*: `memory/files/sqlite_file.py` explains why.
- *A file that is no longer at its path is not written to*: if another program deletes, moves or
  replaces it, nobody would find what is written to it. Nothing is acknowledged then, and what was
  stored before is copied out of the open file.

The file is readable by its owner alone; so are its log, to which SQLite gives the same mode, and its
copies.
"""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from memory.errors import HomeError, UnknownIdError
from memory.files.atomic_write import whole
from memory.files.sqlite_file import (
    FileWatch,
    connect,
    copy_from,
    create,
    identity,
    log_of,
    open_without_log,
    real,
)
from memory.journal.database_errors import (
    aside_name,
    damaged,
    explain,
    lost,
    newest_copy,
    primary_code,
    unknown_id,
)
from memory.journal.migrations import is_journal, migrate
from memory.sentence import Sentence

BUSY_SECONDS = 10.0
LOG_BYTES = 4 << 20
"""The write-ahead log is folded into the file when it is this long."""
_SMALLEST_PAGE = 512  # bytes
_FOLDING_SECONDS = 1.0  # for processes that are still reading the log
_TRIES = 5
_MINIMUM_SQLITE = (3, 37)  # strict tables
_PRAGMAS = (
    "synchronous=full",
    "fullfsync=on",
    "checkpoint_fullfsync=on",
    "foreign_keys=on",
    "secure_delete=on",
    "wal_autocheckpoint=0",
)

Made = TypeVar("Made")


class Database:
    """An open journal file and its transactions. Usable from any thread of the process."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`, whose folder must exist.

        Raises:
            HomeError: it cannot be opened or written, is damaged, or is from a newer Discern.
        """
        self.path = path
        self._lock = threading.RLock()
        self._fold_from = LOG_BYTES
        self._rescued: Path | None = None
        if sqlite3.sqlite_version_info < _MINIMUM_SQLITE:
            raise HomeError(
                "this Python has SQLite {version}, but the journal needs {needed} or newer; use "
                "a newer Python",
                version=sqlite3.sqlite_version,
                needed=".".join(map(str, _MINIMUM_SQLITE)),
            )
        with self._explained():
            self._connection, self._watch = _opened(path)
            try:
                migrate(self._connection, path)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except HomeError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise HomeError(explain(self.path, error, busy_seconds=BUSY_SECONDS)) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, or join the one that this thread has open; all or nothing.

        On leaving it, what was written is on disk.
        """
        with self._lock, self._explained():
            if self._connection.in_transaction:  # opened by this thread, which has the lock
                yield self._connection
                return
            self._refuse_lost()
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("rollback" if self._watch.moved else "commit")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have ended the transaction already
                    self._connection.execute("rollback")
                raise
            self._refuse_lost()
            self._fold_long_log()

    def rows(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[sqlite3.Row]:
        """Return the rows that a query selects."""
        with self._lock, self._explained():
            try:
                return self._connection.execute(sql, values).fetchall()
            except UnicodeEncodeError:  # an argument that is not valid text matches nothing
                return []

    def row_by_prefix(self, table: str, prefix: str) -> sqlite3.Row:
        """Return the row of `turns` or `differences` whose id starts with `prefix`.

        Raises:
            UnknownIdError: no id does, or several do.
        """
        found = self.rows(
            f"select * from {table} where id >= ? and id < ? limit 2",
            (prefix, prefix + "\U0010ffff"),
        )
        if prefix and len(found) == 1:
            return found[0]
        raise UnknownIdError(unknown_id(table, prefix, several=bool(prefix and found)))

    def decode(
        self, make: Callable[[sqlite3.Row], Made], rows: Iterable[sqlite3.Row]
    ) -> list[Made]:
        """Apply `make` to each row.

        Raises:
            HomeError: a row cannot be decoded, so the file is damaged.
        """
        try:
            return [make(row) for row in rows]
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            raise HomeError(
                damaged(self.path, Sentence("cannot read a row: {error}", error=error))
            ) from error

    def require_in_place(self) -> None:
        """Refuse to go on if what is written now could not be found again.

        Raises:
            HomeError: the file or its log was deleted, moved or replaced since it was opened.
        """
        with self._lock:
            self._refuse_lost()

    def _refuse_lost(self) -> None:
        if not self._watch.moved:
            return
        if self._rescued is None:
            self._rescued = self._rescue()
        raise HomeError(lost(self.path, self._rescued))

    def _rescue(self) -> Path | None:
        """Copy the content of the open file and its log, even if deleted, beside where it was."""
        file = real(self.path)
        target = file.with_name(aside_name(file))
        try:
            with whole(target) as part:
                copy_from(self._connection, part)
        except (sqlite3.Error, OSError):  # its folder is gone, or it is damaged
            return None
        return target

    def fold_log(self) -> bool:
        """Fold the write-ahead log into the file and empty it, so that removed text is in neither.

        Return False if another process was still reading from it; the log is then unchanged.
        """
        with self._lock, self._explained(), self.busy_timeout(_FOLDING_SECONDS):
            self._refuse_lost()
            return not self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]

    @contextmanager
    def busy_timeout(self, seconds: float) -> Iterator[None]:
        """Wait this long for other processes instead of BUSY_SECONDS."""
        self._connection.execute(f"pragma busy_timeout={round(seconds * 1000)}")
        try:
            yield
        finally:
            self._connection.execute(f"pragma busy_timeout={round(BUSY_SECONDS * 1000)}")

    def _fold_long_log(self) -> None:
        """Fold the log into the file if possible; what was committed is safe in any case."""
        with suppress(OSError, HomeError):
            length = log_of(self.path).stat().st_size
            if length >= self._fold_from:
                self._fold_from = LOG_BYTES if self.fold_log() else length + LOG_BYTES

    def close(self) -> None:
        """Close the file; calling it again does nothing.

        Content that would be lost, because its log was deleted, is copied out first.
        """
        with self._lock:
            if self._watch.moved and self._rescued is None:
                self._rescued = self._rescue()
            self._watch.close(self._connection)


def _opened(path: Path) -> tuple[sqlite3.Connection, FileWatch]:
    """Open the file at `path`; try again if another process replaces it meanwhile."""
    for _ in range(_TRIES):
        _refuse_emptied(path)
        if open_without_log(path):
            raise HomeError(lost(path, None))
        create(path)
        before = identity(path)
        connection = connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            if not is_journal(connection):
                raise HomeError(
                    "{path} is the database of another program, not a Discern journal (nothing "
                    "in it was changed); move it elsewhere or set DISCERN_HOME to another folder",
                    path=path,
                )
            _into_wal(connection)
            for pragma in _PRAGMAS:
                connection.execute(f"pragma {pragma}")
            connection.execute("select 1 from sqlite_master").fetchall()
            watch = FileWatch(path)
        except BaseException:
            connection.close()
            raise
        if watch.file == before:
            return connection, watch
        watch.close(connection)
    raise HomeError(
        "another program keeps replacing the journal {path}; stop it",
        path=path,
    )


def _into_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; if two processes create the file at once, SQLite refuses one immediately."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
            return
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _refuse_emptied(path: Path) -> None:
    """Refuse a file without a whole page: SQLite would treat it as new and delete its log."""
    log = log_of(path)
    logged = log.exists() and log.stat().st_size
    if not path.exists():
        if logged:
            raise HomeError(
                "the journal {path} is missing, but its log {log} still exists; put the file "
                "back, or run `discern memory restore FILE` to restore a backup and keep the log",
                path=path,
                log=log,
            )
        return
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise HomeError(
            "the journal {path} is not a regular file; move it, or set DISCERN_HOME to another "
            "folder",
            path=path,
        )
    size = about.st_size
    if size < _SMALLEST_PAGE and (size or logged or newest_copy(path)):
        raise HomeError(damaged(path, Sentence("only {size} bytes of it remain", size=size)))
