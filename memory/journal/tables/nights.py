"""The record of nights: one row for each local date on which a run was due.

A row is claimed in one transaction, so of two schedulers at the same moment only one gets it. Its
heartbeat distinguishes a running process from one that was killed.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from memory.difference import now
from memory.files.bounded_read import parse_json
from memory.journal.database import Database
from memory.sentence import STORED, Sentence, Stored, to_plain


@dataclass(frozen=True, slots=True)
class Night:
    """The night of a local date, `day` (YYYY-MM-DD).

    `state` is running, waiting, published, rejected, nothing, failed or stopped. `attempt` counts from
    1; `started` and `beat` are the start and the last heartbeat of the latest one, which `owner`
    (host:process:thread) made. `outcome` is None until an attempt has ended.
    """

    day: str
    state: str
    attempt: int
    started: datetime
    beat: datetime
    owner: str
    outcome: Sentence | None

    @property
    def host(self) -> str:
        """The name of the machine that made the latest attempt."""
        return self.owner.split(":")[0]


class Nights:
    """The table of nights."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, day: str, owner: str, *, stale_after: float, attempts: int) -> int:
        """Claim the run of the local date `day`; return the attempt (1, 2, …), or 0 if it is taken.

        A run is claimed again if its last heartbeat is older than `stale_after` seconds and fewer
        than `attempts` were made; one that was left `waiting` at once, as the same attempt.
        """
        moment = now()
        with self._database.transaction() as connection:
            row = connection.execute("select * from nights where day = ?", (day,)).fetchone()
            if row is None:
                connection.execute(
                    "insert into nights values (?, 'running', 1, ?, ?, ?, null, null)",
                    (day, moment.isoformat(), moment.isoformat(), owner),
                )
                return 1
            age = (moment - datetime.fromisoformat(row["beat"])).total_seconds()
            waiting = row["state"] == "waiting"
            if not waiting and (row["state"] != "running" or age < stale_after):
                return 0
            if not waiting and row["attempt"] >= attempts:
                connection.execute(
                    "update nights set state = 'failed', outcome = ?, sentences = ? where day = ?",
                    (
                        *_stored(
                            Sentence(
                                "stopped retrying after {attempts} interrupted attempts",
                                attempts=attempts,
                            )
                        ),
                        day,
                    ),
                )
                return 0
            attempt = int(row["attempt"]) + (not waiting)
            connection.execute(
                "update nights set state = 'running', attempt = ?, started = ?, beat = ?, owner = ? "
                "where day = ?",
                (attempt, moment.isoformat(), moment.isoformat(), owner, day),
            )
            return attempt

    def heartbeat(self, day: str, owner: str) -> bool:
        """Record that the run of `day` is alive; return False if another process has taken over."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "update nights set beat = ? where day = ? and owner = ? and state = 'running'",
                (now().isoformat(), day, owner),
            )
            return changed.rowcount == 1

    def end(self, day: str, owner: str, state: str, outcome: Sentence) -> None:
        """End the run of `day` with an outcome.

        The state is published, rejected, nothing, failed or stopped; `waiting` leaves the run to
        another process.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "update nights set state = ?, outcome = ?, sentences = ?, beat = ? "
                "where day = ? and owner = ?",
                (state, *_stored(outcome), now().isoformat(), day, owner),
            )

    def latest(self, limit: int = 30) -> list[Night]:
        """Return the latest nights, newest first."""
        rows = self._database.rows("select * from nights order by day desc limit ?", (limit,))
        return self._database.decode(_night_of, rows)


def _night_of(row: sqlite3.Row) -> Night:
    stored = Stored({STORED: parse_json(row[STORED] or "[]")})
    return Night(
        day=row["day"],
        state=row["state"],
        attempt=row["attempt"],
        started=datetime.fromisoformat(row["started"]),
        beat=datetime.fromisoformat(row["beat"]),
        owner=row["owner"],
        outcome=None if row["outcome"] is None else stored.sentence(row["outcome"]),
    )


def _stored(outcome: Sentence) -> tuple[str, str]:
    plain = to_plain({"outcome": outcome})
    return plain["outcome"], json.dumps(plain.get(STORED, []), ensure_ascii=False)
