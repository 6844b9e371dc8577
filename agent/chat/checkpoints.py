"""The SQLite file of the conversations' checkpoints: ids, and no word of a talk.

The journal holds every turn and is read for each message (`agent/chat/history.py`). Of a thread the
checkpoint keeps what LangGraph left in its state that is not the talk: the id of the last turn and
those of what was recalled for it. A new checkpoint takes the place of the one before, so a thread
takes as much room after its thousandth turn as after its first.

All of it can be made again, and is by a thread's next message; so nothing that happens to the file is
in anybody's way. Damaged, it is put aside and begun anew; where it cannot be written, the checkpoints
stay in memory. `notice` says so in a sentence. What an earlier Discern wrote there held the talk; it is
removed when the file is opened.
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

KEPT = ("turn", "recalled")
"""What of the state stands in a checkpoint."""
FORMAT = 1
"""SQLite's `user_version` of the file; 0 where an earlier Discern wrote whole talks into it."""
BUSY_SECONDS = 10.0
_TABLES = {"checkpoints", "writes"}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
Made = TypeVar("Made")


class ChatState(TypedDict):
    """The state of a thread. The reply's message has its turn's id; so has `turn`."""

    messages: Annotated[list[AnyMessage], add_messages]
    recalled: list[str]
    turn: str


class Checkpoints(SqliteSaver):
    """The latest checkpoint of each thread, without words; it does not fail (see above)."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at `path`."""
        self.path = path
        self.notice: str | None = None
        """What happened to the file, for a person."""
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
        """Keep a checkpoint, without words, in the place of its thread's earlier ones."""
        held = checkpoint["channel_values"]
        ids = checkpoint.copy()
        ids["channel_values"] = {name: held[name] for name in KEPT if name in held}
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
        """Keep nothing of a run that goes on: what it says is in the journal, or was never said."""

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
        except Exception as error:  # a damaged row raises whatever its reader does
            self._mend(error)
            return work()

    def _mend(self, error: Exception) -> None:
        """Have a connection that works: to a new file where the old one was damaged, else in memory."""
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
    """Take all of a thread out; it is put in again with its next message.

    Needs no room on the disk: where the thread's rows cannot be deleted, the whole file is.

    Raises:
        HomeError: the file cannot be removed.
    """
    try:
        damaged_copy(path).unlink(missing_ok=True)
        if path.is_file():
            try:
                _delete_rows(path, thread)
            except sqlite3.Error:
                _remove(path)
    except OSError as error:
        raise HomeError(
            "cannot take the talk out of {path}: {strerror}; give its folder write "
            "permission and try again",
            path=path,
            strerror=error.strerror,
        ) from error


def look(path: Path) -> str | None:
    """Return in a sentence what is wrong with the file at `path`; None when it serves."""
    if not path.exists():
        return None
    try:
        with closing(connect(path, timeout=BUSY_SECONDS)) as connection:
            said = str(connection.execute("pragma quick_check(1)").fetchone()[0])
            foreign = _tables(connection) - _TABLES
    except sqlite3.Error as error:
        if not _is_damage(error):
            return explain(path, error)
        said, foreign = str(error), set()
    if said == "ok" and not foreign:
        return None
    if foreign:
        said = f"it holds {min(foreign)}, which is another program's"
    return (
        f"the checkpoints {path} are damaged ({said}); nothing is lost, the next message puts them "
        "aside and makes them anew from the journal"
    )


def explain(path: Path, error: Exception) -> str:
    """Return the sentence for a person: why the checkpoints stay in memory, and what to do."""
    said = error.strerror if isinstance(error, OSError) else error
    whole = "the talk is kept in the journal all the same"
    if _code(error) in _HELD:
        return f"the checkpoints {path} are held by another process; {whole}, close that one"
    if _code(error) in _NO_ROOM:
        return f"no room to write the checkpoints {path} ({said}); {whole}, free some space there"
    return (
        f"cannot write the checkpoints {path} ({said}); {whole}, check the permissions of the file "
        "and its folder"
    )


def damaged(path: Path, error: Exception) -> str:
    """Return the sentence for a person: what was done with damaged checkpoints."""
    return (
        f"the checkpoints {path} were damaged ({error}); they are kept as {damaged_copy(path)} and "
        "made anew from the journal, which holds every turn"
    )


def damaged_copy(path: Path) -> Path:
    """Return where a damaged file of checkpoints is kept; a later one takes its place."""
    return path.with_name(path.name + ".damaged")


def set_damaged_aside(path: Path) -> None:
    """Move a damaged file aside; without its log, which the next file would take for its own.

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
            raise _Foreign(f"it holds {min(foreign)}, which is another program's")
        if connection.execute("pragma user_version").fetchone()[0] != FORMAT:
            if tables:  # the talks, word for word
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
    """Whether the file is not what it should be, rather than out of reach."""
    if isinstance(error, OSError):
        return False
    return not isinstance(error, sqlite3.Error) or _code(error) in _DAMAGED


def _code(error: Exception) -> int:
    """SQLite's result code without its extension; 0 where the error is another's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
