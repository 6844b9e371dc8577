"""Export and import differences as JSON Lines (`docs/memory-format.md`).

An export is written to a temporary file, synced and renamed, readable by its owner alone. An import
is read line by line and validated to the last line before anything is stored; it then waits in
quarantine, neither recalled nor trained on, until the user confirms it. Ids are created here; those
of the file are kept as provenance in `turn`. A state is never trusted: imported differences wait like
new marks. A file is rejected if it is not regular, is too large (before it is read), has too long a
line, or has an error in any line, whose number is given; nothing of such a file is stored.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from memory.difference import Difference, State, new_id, now
from memory.errors import ExchangeError, UnknownIdError
from memory.files.atomic_write import write_whole
from memory.memory import Memory
from memory.sentence import Sentence
from memory.settings.paths import expanded
from memory.transfer.export_schema import (
    Record,
    header,
    read_header,
    read_line,
    sameness,
    to_difference,
    to_line,
)
from memory.transfer.jsonl import OnProgress, lines_of

COUNT_CAP = 200_000
"""The maximum number of differences in a file."""
PREVIEW = 5
"""Differences of a batch that `ImportBatch.items` shows."""


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """A file in quarantine: `count` new differences; `duplicates` more were left out.

    `items` are the first of them as they would be imported. `announced` is the number stated in the
    file's header, None without one. If nothing is new, nothing is stored and `id` is empty.
    """

    id: str
    source: str
    at: datetime
    count: int
    duplicates: int
    items: tuple[Difference, ...] = ()
    announced: int | None = None


def export_memory(memory: Memory, write: Callable[[str], object]) -> int:
    """Write every difference through `write`, one line per call; return how many."""
    differences = memory.journal.differences.all()
    for line in _lines(differences):
        write(line)
    return len(differences)


def export_file(memory: Memory, path: Path) -> int:
    """Write every difference to `path`, completely or not at all, mode 0600; return how many.

    Raises:
        ExchangeError: it cannot be written; an existing file is unchanged.
    """
    path = expanded(path).absolute()
    differences = memory.journal.differences.all()
    memory.journal.exported_copies.note(path)
    try:
        write_whole(path, _lines(differences))
    except OSError as error:
        raise ExchangeError(
            "cannot write {path}: {strerror}; choose a file in a writable folder",
            path=path,
            strerror=error.strerror,
        ) from error
    return len(differences)


def _lines(differences: list[Difference]) -> Iterator[str]:
    yield header(len(differences)) + "\n"
    for difference in differences:
        yield to_line(difference) + "\n"


def read_batch(memory: Memory, path: Path, *, progress: OnProgress | None = None) -> ImportBatch:
    """Validate the file at `path` and put the new differences into quarantine.

    `progress` is called with the bytes read and the size of the file.

    Raises:
        ExchangeError: the file or one of its lines is refused; nothing of it is stored.
    """
    path = expanded(path).absolute()
    known = {_key(item): item.id for item in memory.journal.differences.all()}
    lines: dict[str, int] = {}  # source id → line
    fresh: dict[str, Record] = {}  # source id → record
    same: dict[str, str] = {}  # source id of a duplicate → the id it is the same as
    announced: int | None = None
    for number, line in lines_of(path, memory.import_max_mb * 1_000_000, progress):
        try:
            if number == 1:
                announced = read_header(line).count
                continue
            record = read_line(line)
        except ExchangeError as error:
            raise ExchangeError(
                "line {number} of {path}: {error}", number=number, path=path, error=error
            ) from None
        if (first := lines.setdefault(record.id, number)) != number:
            raise ExchangeError(
                "line {number} of {path} has the same id as line {other}; remove one of them",
                number=number,
                path=path,
                other=first,
            )
        if len(lines) > COUNT_CAP:
            raise ExchangeError(
                "{path} contains more than {most:,} differences; split it and import the parts",
                path=path,
                most=COUNT_CAP,
            )
        key = _record_key(record)
        if key in known:
            same[record.id] = known[key]
        else:
            known[key] = record.id
            fresh[record.id] = record
    _check_chains(path, fresh, lines)
    bodies = [_body(record, same) for record in fresh.values()]
    return _quarantine(memory, path, bodies, len(same), announced)


def _check_chains(path: Path, fresh: dict[str, Record], lines: dict[str, int]) -> None:
    """Refuse a `superseded_by` that leads nowhere or in a circle; each link is followed once."""
    ended: set[str] = set()  # ids from which a chain is known to end
    for record in fresh.values():
        chain = {record.id}
        after = record.superseded_by
        while after is not None and after not in ended:
            if after not in lines or after in chain:
                broken = (
                    Sentence(
                        "superseded_by {after!r} forms a cycle; remove superseded_by",
                        after=after[:40],
                    )
                    if after in chain
                    else Sentence(
                        "superseded_by {after!r} is not in this file; remove superseded_by",
                        after=after[:40],
                    )
                )
                raise ExchangeError(
                    "line {number} of {path}: {error}",
                    number=lines[record.id],
                    path=path,
                    error=broken,
                )
            chain.add(after)
            after = fresh[after].superseded_by if after in fresh else None
        ended |= chain


def _body(record: Record, same: dict[str, str]) -> str:
    if record.superseded_by in same:
        record = record.model_copy(update={"superseded_by": same[record.superseded_by]})
    return record.model_dump_json(exclude_defaults=True)


def _quarantine(
    memory: Memory, path: Path, bodies: list[str], duplicates: int, announced: int | None
) -> ImportBatch:
    about = {"path": str(path), "duplicates": duplicates, "announced": announced}
    source = json.dumps(about)
    at = now()
    if not bodies:
        return ImportBatch("", str(path), at, 0, duplicates, (), announced)
    with memory.journal.transaction() as connection:
        _table(connection)
        rows = connection.execute("select coalesce(max(cast(batch as integer)), 0) from quarantine")
        number = str(int(rows.fetchone()[0]) + 1)
        connection.executemany(
            "insert into quarantine (batch, at, source, body) values (?, ?, ?, ?)",
            ((number, at.isoformat(), source, body) for body in bodies),
        )
    items = tuple(_difference(body, number) for body in bodies[:PREVIEW])
    return ImportBatch(number, str(path), at, len(bodies), duplicates, items, announced)


def batches(memory: Memory) -> list[ImportBatch]:
    """Return the batches in quarantine, oldest first."""
    with memory.journal.transaction() as connection:
        _table(connection)
    rows = memory.journal.database.rows(
        "select batch, min(at) as at, min(source) as source, count(*) as n from quarantine "
        "group by batch order by cast(batch as integer)"
    )
    found: list[ImportBatch] = []
    for row in rows:
        about = json.loads(row["source"])
        first = memory.journal.database.rows(
            "select body from quarantine where batch = ? order by seq limit ?",
            (row["batch"], PREVIEW),
        )
        items = tuple(_difference(item["body"], row["batch"]) for item in first)
        at = datetime.fromisoformat(row["at"])
        found.append(
            ImportBatch(row["batch"], about["path"], at, row["n"], about["duplicates"], items,
                  about["announced"])
        )  # fmt: skip
    return found


def confirm(memory: Memory, batch: str) -> int:
    """Import a batch, all of it or (if anything fails) nothing; return how many were imported.

    Differences that were marked with the same words since it was read are left out.

    Raises:
        UnknownIdError: no such batch waits.
    """
    records = [Record.model_validate_json(body) for body in _bodies(memory, batch)]
    known = {_key(item): item.id for item in memory.journal.differences.all()}
    ids = {record.id: known.get(_record_key(record)) or new_id() for record in records}
    fresh = [record for record in records if _record_key(record) not in known]
    here = set(known.values()) | set(ids.values())
    with memory.journal.transaction() as connection:
        for record in fresh:
            difference = to_difference(record, ids[record.id], _turn(record, batch))
            after = ids.get(record.superseded_by or "", record.superseded_by)
            difference = replace(difference, superseded_by=after if after in here else None)
            memory.journal.differences.add(
                replace(difference, state=State.WAITING if difference.teaches else State.BARE)
            )
        connection.execute("delete from quarantine where batch = ?", (batch,))
    memory.refresh()
    return len(fresh)


def reject(memory: Memory, batch: str) -> int:
    """Discard a batch; return how many differences it had.

    Raises:
        UnknownIdError: no such batch waits.
    """
    count = len(_bodies(memory, batch))
    with memory.journal.transaction() as connection:
        connection.execute("delete from quarantine where batch = ?", (batch,))
    return count


def _table(connection: sqlite3.Connection) -> None:
    connection.execute(
        "create table if not exists quarantine (seq integer primary key, batch text not null, "
        "at text not null, source text not null, body text not null) strict"
    )


def _bodies(memory: Memory, batch: str) -> list[str]:
    with memory.journal.transaction() as connection:
        _table(connection)
    rows = memory.journal.database.rows(
        "select body from quarantine where batch = ? order by seq", (batch,)
    )
    if not rows:
        raise UnknownIdError(
            "there is no pending batch {batch!r}; `discern memory batches` lists them",
            batch=batch[:40],
        )
    return [row["body"] for row in rows]


def _difference(body: str, batch: str) -> Difference:
    record = Record.model_validate_json(body)
    return to_difference(record, record.id, _turn(record, batch))


def _turn(record: Record, batch: str) -> str:
    """Return the provenance: not one of our turns, but the batch and the file's own id."""
    source = re.sub(r"[^0-9A-Za-z_-]", "", record.id)[:32]
    return f"import-{batch}-{source}"


def _key(item: Difference) -> str:
    contrast = item.contrast
    lines = (contrast.missed, contrast.lost, contrast.sounds)
    rules = None if item.rules is None else "\n".join(item.rules)
    return sameness(item.asked, item.replied, (*lines, item.scope, item.condition, rules))


def _record_key(record: Record) -> str:
    lines = (record.missed, record.lost, record.sounds)
    rules = None if record.rules is None else "\n".join(record.rules)
    return sameness(record.asked, record.replied, (*lines, record.scope, record.condition, rules))
