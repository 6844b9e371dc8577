"""LangGraph checkpoints in a SQLite file: ids only, no message text.

The journal has every turn and is read for each message (`agent/chat/history.py`). A checkpoint keeps
the rest of a thread's state: the ids of its last turn and of what was recalled for it. A new checkpoint
replaces the one before, so the file does not grow with a thread.

A thread's next message makes its checkpoint again, so the file can be lost. A damaged file is moved
away and a new one started; if the file cannot be written, checkpoints stay in memory. `notice` says so.
Earlier versions of Discern wrote message text there; such a file is removed when it is opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.message import add_messages

from memory.errors import HomeError
from memory.files.sqlite_file import LOG, SHARED, connect
from memory.sentence import Sentence

KEPT_STATE_KEYS = ("turn", "recalled")
"""The parts of the state that a checkpoint keeps."""
FORMAT = 1
"""SQLite's `user_version` of the file; 0 in files of earlier versions, which had message text."""
BUSY_SECONDS = 10.0
_TABLES = {"checkpoints", "writes"}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
Made = TypeVar("Made")


class ChatState(TypedDict):
    """The state of a thread. `turn` is the id of the last turn and of its reply's message."""

    messages: Annotated[list[AnyMessage], add_messages]
    recalled: list[str]
    turn: str


class Checkpoints(SqliteSaver):
    """The latest checkpoint of each thread, without message text. File errors do not raise."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`."""
        self.path = path
        self.notice: Sentence | None = None
        """A sentence for the user on what happened to the file."""
        super().__init__(_in_memory())
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._mend(error)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint of a thread."""
        work = super().get_tuple
        return self._tried(lambda: work(config))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, without message text, in place of the thread's earlier ones."""
        held = checkpoint["channel_values"]
        ids = checkpoint.copy()
        ids["channel_values"] = {name: held[name] for name in KEPT_STATE_KEYS if name in held}
        work = super().put

        def replace() -> RunnableConfig:
            kept = work(config, ids, metadata, new_versions)
            values = kept["configurable"]
            with self.cursor() as cursor:
                for table in ("writes", "checkpoints"):
                    cursor.execute(
                        f"delete from {table} where thread_id = ? and checkpoint_ns = ? "
                        "and checkpoint_id < ?",
                        (values["thread_id"], values["checkpoint_ns"], values["checkpoint_id"]),
                    )
            return kept

        return self._tried(replace)

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store nothing of an unfinished run: its turn is already in the journal, or there is none."""

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.conn.close()

    def _open(self) -> None:
        with self.lock:
            self.conn.close()
            self.conn, self.is_setup = _connected(self.path), False
            self.setup()

    def _tried(self, work: Callable[[], Made]) -> Made:
        try:
            return work()
        except Exception as error:  # a damaged row can raise anything
            self._mend(error)
            return work()

    def _mend(self, error: Exception) -> None:
        """Replace the connection: by one to a new file if this one is damaged, else to memory."""
        self.close()
        if _is_damage(error):
            try:
                set_damaged_aside(self.path)
                self._open()
                self.notice = damaged(self.path, error)
                return
            except (sqlite3.Error, OSError) as second:
                error = second
        self.notice = explain(self.path, error)
        with self.lock:
            self.conn.close()
            self.conn, self.is_setup = _in_memory(), False
            self.setup()


@contextmanager
def checkpoints(path: Path) -> Iterator[Checkpoints]:
    """Open the checkpoints at `path` for `with`."""
    with closing(Checkpoints(path)) as saver:
        yield saver


def erase_thread(path: Path, thread: str) -> None:
    """Delete a thread's checkpoint; its next message makes a new one.

    Works on a full disk: if the rows cannot be deleted, the whole file is. Of a symbolic link, only the
    link is removed.

    Raises:
        HomeError: the file cannot be removed.
    """
    try:
        damaged_copy(path).unlink(missing_ok=True)
        if path.is_symlink():
            _remove(path)
        elif path.is_file():
            try:
                _delete_rows(path, thread)
            except sqlite3.Error:
                _remove(path)
    except OSError as error:
        raise HomeError(
            "cannot remove the conversation from {path}: {strerror}; make its folder writable and "
            "try again",
            path=path,
            strerror=error.strerror,
        ) from error


def look(path: Path) -> Sentence | None:
    """Return a sentence on what is wrong with the file at `path`; None if nothing is."""
    if not path.exists():
        return None
    try:
        with closing(connect(path, timeout=BUSY_SECONDS)) as connection:
            said: Sentence | str = str(connection.execute("pragma quick_check(1)").fetchone()[0])
            foreign = _tables(connection) - _TABLES
    except sqlite3.Error as error:
        if not _is_damage(error):
            return explain(path, error)
        said, foreign = str(error), set()
    if said == "ok" and not foreign:
        return None
    if foreign:
        said = _foreign(foreign)
    return Sentence(
        "the checkpoints {path} are damaged ({said}); no data is lost: the next message rebuilds "
        "them from the journal",
        path=path,
        said=said,
    )


def explain(path: Path, error: Exception) -> Sentence:
    """Return the sentence on why the checkpoints stay in memory, and what to do."""
    said = error.strerror if isinstance(error, OSError) else error
    whole = Sentence("the conversation is still saved in the journal")
    if _code(error) in _HELD:
        return Sentence(
            "the checkpoints {path} are in use by another process ({whole}); close that process",
            path=path,
            whole=whole,
        )
    if _code(error) in _NO_ROOM:
        return Sentence(
            "no space left to write the checkpoints {path} ({said}; {whole}); free some space on "
            "that disk",
            path=path,
            said=said,
            whole=whole,
        )
    return Sentence(
        "cannot write the checkpoints {path} ({said}; {whole}); check the permissions of the file "
        "and its folder",
        path=path,
        said=said,
        whole=whole,
    )


def damaged(path: Path, error: Exception) -> Sentence:
    """Return the sentence on what was done with damaged checkpoints."""
    return Sentence(
        "the checkpoints {path} were damaged ({error}); they were moved to {copy} and rebuilt "
        "from the journal, which holds every turn",
        path=path,
        error=error,
        copy=damaged_copy(path),
    )


def damaged_copy(path: Path) -> Path:
    """Return where a damaged file is moved to; a later one replaces it."""
    return path.with_name(path.name + ".damaged")


def set_damaged_aside(path: Path) -> None:
    """Move a damaged file away, and delete its log, which the next file would take for its own.

    Raises:
        OSError: it cannot be moved.
    """
    _remove_log(path)
    path.replace(damaged_copy(path))


def _connected(path: Path) -> sqlite3.Connection:
    connection = connect(path, timeout=BUSY_SECONDS)
    try:
        connection.execute("pragma secure_delete=on")
        connection.execute("pragma synchronous=normal")
        connection.execute("pragma wal_autocheckpoint=100")
        tables = _tables(connection)
        if foreign := tables - _TABLES:
            raise _Foreign(_foreign(foreign))
        if connection.execute("pragma user_version").fetchone()[0] != FORMAT:
            if tables:  # with message text
                connection.close()
                _remove(path)
                return _connected(path)
            connection.execute(f"pragma user_version={FORMAT}")
    except BaseException:
        connection.close()
        raise
    return connection


class _Foreign(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_NOTADB

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(str(sentence))
        self.sentence = sentence


def _foreign(tables: set[str]) -> Sentence:
    return Sentence("it contains the table {foreign} of another program", foreign=min(tables))


def _delete_rows(path: Path, thread: str) -> None:
    with closing(_connected(path)) as connection:
        with connection:
            for table in _tables(connection):
                connection.execute(f"delete from {table} where thread_id = ?", (thread,))
        connection.execute("pragma wal_checkpoint(truncate)")


def _in_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    return {str(name) for (name,) in rows}


def _remove(path: Path) -> None:
    _remove_log(path)
    path.unlink(missing_ok=True)


def _remove_log(path: Path) -> None:
    for end in (LOG, SHARED):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _is_damage(error: Exception) -> bool:
    """Whether the file is damaged, rather than out of reach."""
    if isinstance(error, OSError):
        return False
    return not isinstance(error, sqlite3.Error) or _code(error) in _DAMAGED


def _code(error: Exception) -> int:
    """Return SQLite's primary result code; 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
