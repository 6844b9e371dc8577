"""The dense part of recall: vectors of the journal's differences, updated by a background thread.

It is only an index: everything in it can be rebuilt from the journal, and is rebuilt automatically
when it is missing, damaged, out of date, interrupted or made by another embedder. A cursor in the
collection records what it covers: the journal's last difference and the number of differences.
Opening compares cursors and counts; only if they disagree are all ids compared.

Loading Chroma takes a second and a single vector tens of milliseconds, so nobody waits for either:
until the index is up to date, recall uses keyword search only and `notice` says so. One process owns
the folder under a lock (with two writers, records are lost without an error); a Chroma server needs
no lock.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock, Timeout

from memory.difference import new_id
from memory.errors import DiscernError, HomeError
from memory.files.locks import file_lock
from memory.journal.journal import Journal
from memory.recall.array_store import ArrayStore
from memory.recall.chroma_store import Store, collection_name, open_folder, open_server
from memory.recall.embedder import Embedder, NgramEmbedder
from memory.recall.index_cursor import Cursor, between
from memory.sentence import Sentence
from memory.settings.paths import private_folder

if TYPE_CHECKING:
    from sqlite3 import Row

    from memory.settings.paths import Home
    from memory.settings.settings import MemorySettings

BATCH = 500
LATER = 0.2
"""Delay before indexing single marks, in seconds, so that the reply after a mark is not slowed down."""
AGAIN = 30.0
"""Seconds after which a failed store is tried again, if there is work to do."""
TOKEN = "DISCERN_CHROMA_TOKEN"
"""The environment variable with the server's token."""

OnProgress = Callable[[int, int], None]


class Index:
    """The vectors of one journal; `close` it before the journal."""

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], tuple[Embedder, Store | ArrayStore]],
        lock: FileLock | None = None,
    ) -> None:
        """Start connecting and updating in the background."""
        self._journal = journal
        self._connect = connect
        self._embedder: Embedder | None = None
        self._lock = lock
        self._store: Store | ArrayStore | None = None
        self._level = False
        self._writing = False
        self._last: Cursor | None = None
        self._anew = False
        self._failed: Sentence | None = None
        self._failed_at = 0.0
        self._steps: tuple[int, int] = (0, 0)
        self._closing = False
        self._asked = True
        self._busy = False
        self._hurry = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="discern-index", daemon=True)
        self._thread.start()

    # --- for callers -------------------------------------------------------------------------

    @property
    def notice(self) -> Sentence | None:
        """Why recall is limited to keyword search at the moment; None if it is not."""
        if self._failed:
            return Sentence("{failed}; using keyword search only", failed=self._failed)
        if self._level:
            return None
        done, total = self._steps
        share = Sentence(" ({done:,} of {total:,})", done=done, total=total) if total else ""
        return Sentence(
            "building the index{share}; using keyword search only until it is ready", share=share
        )

    @property
    def pending(self) -> bool:
        """Whether it is still being built, which is not an error."""
        return not self._failed and not self._level

    def nudge(self) -> None:
        """Have it check the journal for changes in the background; return at once."""
        with self._changed:
            self._asked = True
            self._changed.notify_all()

    def settle(self, progress: OnProgress | None = None, timeout: float | None = None) -> bool:
        """Wait until it is up to date; return False if it failed or after `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        shown = (0, 0)
        with self._changed:
            self._hurry += 1
            self.nudge()
            while not self._closing and (self._asked or self._busy):
                if until is not None and time.monotonic() >= until:
                    break
                self._changed.wait(0.1)
                if progress and self._steps != shown and self._steps[1]:
                    shown = self._steps
                    progress(*shown)
            self._hurry -= 1
            return self._level and not (self._failed or self._asked or self._busy)

    @property
    def reads_sense(self) -> bool:
        """Whether its vectors come from a language model rather than from character n-grams."""
        return self._embedder is not None and self._embedder.name != NgramEmbedder.name

    def nearest(self, text: str, limit: int) -> list[tuple[str, float]]:
        """Return (id, cosine similarity) of the nearest differences, the nearest first.

        Empty until it is up to date, and while it writes: a query would have to wait, and keyword
        search finds new marks meanwhile.
        """
        store, embedder = self._store, self._embedder
        if store is None or embedder is None or not self._level or self._writing:
            return []
        try:
            return store.nearest(embedder.query(text), limit)
        except Exception as error:  # Chroma, HTTP and the embedder each raise their own
            self._fail(error)
            return []

    def ids(self) -> set[str]:
        """Return the ids it holds; none while there is no store."""
        return self._store.ids() if self._store else set()

    def rebuild(self, progress: OnProgress | None = None) -> int:
        """Rebuild it from scratch and wait; return how many differences it then holds.

        An interrupted rebuild is completed at the next opening.

        Raises:
            HomeError: the store cannot be used.
        """
        with self._changed:
            self._anew = True
            self._failed_at = 0.0
        if not self.settle(progress):
            raise HomeError(
                "cannot build the index: {failed}",
                failed=self._failed or Sentence("it is being closed"),
            )
        return len(self.ids())

    def close(self) -> None:
        """Stop the thread and release the folder; calling it again does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        self._let_go()
        if self._lock is not None:
            self._lock.release()

    # --- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._asked and not self._closing:
                    self._changed.wait()
                if self._level:
                    self._changed.wait_for(lambda: self._closing or self._hurry > 0, LATER)
                if self._closing:
                    return
                self._asked, self._busy = False, True
            try:
                if not self._failed or time.monotonic() - self._failed_at >= AGAIN:
                    self._catch_up()
            except Exception as error:  # keyword search still works, whatever happens here
                self._fail(error)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, DiscernError):
            self._failed = error.sentence
        else:
            said = str(error).strip().split("\n")[0][:200]
            self._failed = Sentence("the index is damaged: {said}", said=said)
        self._failed_at = time.monotonic()
        self._level = False
        self._let_go()

    def _let_go(self) -> None:
        store, self._store = self._store, None
        embedder, self._embedder = self._embedder, None
        if store is not None:
            store.close()
        if embedder is not None:
            embedder.close()

    def _catch_up(self) -> None:
        if self._store is None:
            self._embedder, self._store = self._connect()
        self._failed = None
        store = self._store
        if self._anew:
            self._level = False
            store.clear()
            self._anew = False
        wanted = Cursor.of(self._journal)
        if self._level and wanted == self._last:
            return
        held = Cursor.read(store.cursor)
        if held != wanted or not self._level:
            self._writing = True
            try:
                self._make_level(store, wanted, held)
            finally:
                self._writing = False
        self._last = wanted if self._level else None

    def _make_level(self, store: Store | ArrayStore, wanted: Cursor, held: Cursor) -> None:
        count = store.count()
        known = held.is_in(self._journal)
        trusted = known or not count
        if trusted:
            # In order after the cursor, so that the work of an interrupted run is kept.
            since = between(self._journal, held.top if known else 0, wanted.top)
            self._level = self._level and len(since) <= BATCH
            self._add(store, since, count)
        if not trusted or store.count() != wanted.count:
            self._level = False
            self._compare(store, wanted)
        if not self._closing:
            store.set_cursor(str(wanted))
            self._level = True
            self._steps = (0, 0)

    def _compare(self, store: Store | ArrayStore, wanted: Cursor) -> None:
        """Remove ids whose difference is gone and add those that are missing."""
        rows = {row["id"]: row for row in between(self._journal, 0, wanted.top)}
        held = store.ids()
        gone = sorted(held - rows.keys())
        for start in range(0, len(gone), BATCH):
            store.delete(gone[start : start + BATCH])
        self._add(store, [row for key, row in rows.items() if key not in held], None)

    def _add(self, store: Store | ArrayStore, rows: Sequence[Row], before: int | None) -> None:
        """Add rows, in batches.

        With `before` (how many differences before them are indexed) the cursor follows each batch.
        """
        assert self._embedder is not None
        for start in range(0, len(rows), BATCH):
            if self._closing:
                return
            some = rows[start : start + BATCH]
            vectors = self._embedder.embed([row["asked"] for row in some])
            store.upsert([row["id"] for row in some], vectors)
            done = start + len(some)
            if before is not None and done < len(rows):
                store.set_cursor(str(Cursor(some[-1]["seq"], some[-1]["id"], before + done)))
            self._steps = (done, len(rows))


def open_index(
    home: Home,
    settings: MemorySettings,
    journal: Journal,
    embedder: Callable[[], Embedder] = NgramEmbedder,
) -> Index | None:
    """Return the index of `journal`, or None while another process owns its folder.

    `embedder` is called in the index's thread, and its result is closed with the index.
    """
    if settings.chroma:
        token = os.environ.get(TOKEN, "")

        def on_server() -> tuple[Embedder, Store]:
            made = embedder()
            # One server may hold the vectors of several journals.
            name = collection_name(made.name, made.size, _journal_id(journal))
            return made, open_server(settings.chroma, name, token)

        return Index(journal, on_server)
    try:
        private_folder(home.index)
        lock = file_lock(home.index / "owner.lock")
        lock.acquire()
    except Timeout:  # another process has the index
        return None
    except OSError as error:
        said = Sentence(
            "cannot write the index in {index}: {strerror}; check that folder",
            index=home.index,
            strerror=error.strerror or error,
        )
        return Index(journal, partial(_refuse, said))

    def in_folder() -> tuple[Embedder, Store]:
        made = embedder()
        return made, open_folder(home, home.index / "chroma", collection_name(made.name, made.size))

    return Index(journal, in_folder, lock)


def index_in_memory(journal: Journal, embedder: Callable[[], Embedder] = NgramEmbedder) -> Index:
    """Return an index of `journal` in the memory of this process, for searches that leave no trace."""

    def in_memory() -> tuple[Embedder, ArrayStore]:
        return embedder(), ArrayStore()

    return Index(journal, in_memory)


def _refuse(said: Sentence) -> NoReturn:
    raise HomeError(said)


def _journal_id(journal: Journal) -> str:
    """Return an id of this journal among those on a server; created once and stored in it."""
    with journal.transaction() as connection:
        connection.execute(
            "insert into facts values ('journal', ?) on conflict (name) do nothing", (new_id(),)
        )
    return str(journal.facts.get("journal"))
