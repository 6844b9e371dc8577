"""Check whether the memory is intact.

`check` reads everything once and changes nothing. Each finding is one sentence and the command that
fixes it; an `error` is lost or wrong data, a `warning` may become so or impairs recall, a `note` is
for information.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from memory.difference import Difference
from memory.errors import HomeError
from memory.files.sqlite_file import log_of
from memory.journal.journal import Journal
from memory.journal.tables.exported_copies import unfinished
from memory.recall.index import Index
from memory.settings.paths import Home
from memory.text.counts import counted
from memory.upkeep.backup import asides, backup

__all__ = ["HealthFinding", "backup", "check"]

LEAST_FREE = 200 << 20
"""Bytes of free space under which a warning is given."""
LONG_LOG = 64 << 20
_MOST = 20  # lines of SQLite's own findings
_BATCH = 1000
_SETTLING = 60.0  # seconds that the index may take to repair itself before it is checked
_RESTORE = "`discern memory restore FILE` restores a backup and keeps the current file"
_REBUILD = "`discern memory rebuild` rebuilds it"


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One finding, and what to do about it ("" if nothing)."""

    level: Literal["error", "warning", "note"]
    sentence: str
    mend: str = ""


def check(home: Home, journal: Journal, index: Index | None = None) -> tuple[HealthFinding, ...]:
    """Return what is wrong or worth knowing; empty if all is well. `index` is optional."""
    found: list[HealthFinding] = []
    for look in (_file, _rows, _links, _words):
        try:
            found += look(journal)
        except HomeError as error:
            found.append(HealthFinding("error", str(error), _RESTORE))
            break  # the other checks would fail on the same damage
    else:
        found += _index(journal, index)
        found += _waiting(journal)
    return (*found, *_disk(home), *_unfinished(home, journal))


def _file(journal: Journal) -> Iterator[HealthFinding]:
    said = [str(row[0]) for row in journal.database.rows(f"pragma integrity_check({_MOST})")]
    if said != ["ok"]:
        more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
        yield HealthFinding(
            "error", f"the file {journal.path} is damaged: {said[0]}{more}", _RESTORE
        )
    broken = Counter(str(row[0]) for row in journal.database.rows("pragma foreign_key_check"))
    for table, count in broken.items():
        yield HealthFinding("error", f"{counted(count, 'row')} of {table} with missing references")


def _rows(journal: Journal) -> Iterator[HealthFinding]:
    """Read every difference and turn; a span must be where its quote says."""
    unreadable: list[str] = []
    misplaced: list[str] = []
    for item in _differences(journal, unreadable):
        span = item.span
        if span is not None and item.replied[span.start : span.end] != span.quote:
            misplaced.append(item.id)
    mend = "export what can be read with `discern memory export`; " + _RESTORE
    if unreadable:
        named = ", ".join(unreadable[:5])
        yield HealthFinding(
            "error", f"{counted(len(unreadable), 'row')} cannot be read: {named}", mend
        )
    if misplaced:
        named = ", ".join(name[:8] for name in misplaced[:5])
        what = "a span that does not match its quote"
        yield HealthFinding(
            "warning", f"{counted(len(misplaced), 'difference')} with {what}: {named}"
        )


def _differences(journal: Journal, unreadable: list[str]) -> Iterator[Difference]:
    after = 0
    while ids := journal.database.rows(
        "select seq, id from differences where seq > ? order by seq limit ?", (after, _BATCH)
    ):
        after = int(ids[-1]["seq"])
        names = [str(row["id"]) for row in ids]
        try:
            yield from journal.differences.by_ids(names)
        except HomeError:
            for name in names:
                try:
                    yield from journal.differences.by_ids([name])
                except HomeError:
                    unreadable.append(name[:40])


def _links(journal: Journal) -> Iterator[HealthFinding]:
    for noun, wrong, sql in (
        (
            "older version",
            "without a difference",
            "select count(*) from versions where difference not in (select id from differences)",
        ),
        (
            "difference",
            "superseded by a missing one",
            "select count(*) from differences where superseded_by is not null "
            "and superseded_by not in (select id from differences)",
        ),
    ):
        if count := int(journal.database.rows(sql)[0][0]):
            yield HealthFinding("warning", f"{counted(count, noun)} {wrong}")
    after = {
        str(row[0]): str(row[1])
        for row in journal.database.rows(
            "select id, superseded_by from differences where superseded_by is not null"
        )
    }
    if circle := _circle(after):
        named = " → ".join(name[:8] for name in circle)
        yield HealthFinding(
            "error",
            f"differences supersede each other in a cycle, so none of them is used: {named}",
            f"`discern memory forget {circle[0][:8]}` breaks it",
        )


def _circle(after: dict[str, str]) -> list[str]:
    done: set[str] = set()
    for start in after:
        path: dict[str, None] = {}  # in the order in which it was walked
        here = start
        while here in after and here not in done:
            if here in path:
                walked = list(path)
                return walked[walked.index(here) :]
            path[here] = None
            here = after[here]
        done.update(path)
    return []


def _words(journal: Journal) -> Iterator[HealthFinding]:
    missing = int(
        journal.database.rows(
            "select count(*) from differences where seq not in (select rowid from stems)"
        )[0][0]
    )
    over = int(
        journal.database.rows(
            "select count(*) from stems where rowid not in (select seq from differences)"
        )[0][0]
    )
    if missing:
        said = f"{counted(missing, 'difference')} missing from the keyword index"
        yield HealthFinding("warning", said, _REBUILD)
    if over:
        yield HealthFinding(
            "warning", f"the keyword index contains {counted(over, 'unknown difference')}", _REBUILD
        )


def _index(journal: Journal, index: Index | None) -> Iterator[HealthFinding]:
    if index is None:
        return
    if not index.settle(timeout=_SETTLING):
        yield HealthFinding(
            "warning", str(index.notice or "the vector index is out of date"), _REBUILD
        )
        return
    wanted = {str(row[0]) for row in journal.database.rows("select id from differences")}
    held = index.ids()
    if behind := len(wanted - held):
        said = f"{counted(behind, 'difference')} missing from the vector index"
        yield HealthFinding("warning", said, _REBUILD)
    if over := len(held - wanted):
        said = f"the vector index contains {counted(over, 'unknown difference')}"
        yield HealthFinding("warning", said, _REBUILD)


def _waiting(journal: Journal) -> Iterator[HealthFinding]:
    row = journal.database.rows(
        "select count(*) as n, count(distinct batch) as batches from quarantine"
    )[0]
    if row["n"]:
        yield HealthFinding(
            "note",
            f"{counted(row['n'], 'imported difference')} in "
            f"{counted(row['batches'], 'batch', 'batches')} waiting for confirmation",
            "`discern memory batches` lists them",
        )


def _disk(home: Home) -> Iterator[HealthFinding]:
    folder = home.journal.parent
    free = shutil.disk_usage(folder).free
    size = home.journal.stat().st_size if home.journal.exists() else 0
    if free < max(LEAST_FREE, size):
        said = f"only {_megabytes(free)} free in {folder}, and the journal takes {_megabytes(size)}"
        yield HealthFinding("warning", said, "free some space, or saving will fail")
    log = log_of(home.journal)
    if log.exists() and log.stat().st_size > LONG_LOG:
        taken = _megabytes(log.stat().st_size)
        said = f"the journal's log takes {taken}: another process keeps it open"
        yield HealthFinding("warning", said, "close other chats and programs that use it")
    for aside in asides(home.journal):
        said = f"an earlier journal is kept at {aside}"
        yield HealthFinding("note", said, "delete it if you do not need it")


def _unfinished(home: Home, journal: Journal) -> Iterator[HealthFinding]:
    for path in unfinished(home, journal.exported_copies):
        said = f"an unfinished backup is in {path}"
        yield HealthFinding("note", said, "delete that folder if no backup is running")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
