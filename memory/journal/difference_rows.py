"""A difference as a row of the journal, and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any

from memory.difference import Contrast, Difference, Message, Moment, Span, State

COLUMNS = (
    "id", "turn", "thread", "at", "moment", "kind", "asked", "replied", "missed", "lost", "sounds",
    "note", "span", "model", "adapter", "state", "before", "surprisal", "next_surprisal", "version",
    "edited", "pinned", "superseded_by", "recalled",
)  # fmt: skip
"""The columns of `differences` but for its sequence number, in the order of `values_of`."""


def values_of(item: Difference) -> tuple[Any, ...]:
    """Return a difference as the values of COLUMNS."""
    span = item.span
    return (
        item.id,
        item.turn,
        item.thread,
        item.at.isoformat(),
        item.moment.value,
        item.kind,
        item.asked,
        item.replied,
        item.contrast.missed,
        item.contrast.lost,
        item.contrast.sounds,
        item.note,
        json.dumps(astuple(span)) if span else None,
        item.model,
        item.adapter,
        item.state.value,
        json.dumps([[message.role, message.content] for message in item.before]),
        item.surprisal,
        item.next_surprisal,
        item.version,
        item.edited.isoformat() if item.edited else None,
        int(item.pinned),
        item.superseded_by,
        item.recalled,
    )


def difference_of(row: sqlite3.Row | Mapping[str, Any]) -> Difference:
    """Return the difference that a row (or a kept version of one) describes."""
    span = json.loads(row["span"]) if row["span"] else None
    return Difference(
        id=row["id"],
        turn=row["turn"],
        thread=row["thread"],
        at=datetime.fromisoformat(row["at"]),
        moment=Moment(row["moment"]),
        asked=row["asked"],
        replied=row["replied"],
        kind=row["kind"],
        contrast=Contrast(row["missed"], row["lost"], row["sounds"]),
        note=row["note"],
        span=Span(*span) if span else None,
        model=row["model"],
        adapter=row["adapter"],
        state=State(row["state"]),
        before=tuple(Message(role, content) for role, content in json.loads(row["before"])),
        surprisal=row["surprisal"],
        next_surprisal=row["next_surprisal"],
        version=row["version"],
        edited=datetime.fromisoformat(row["edited"]) if row["edited"] else None,
        pinned=bool(row["pinned"]),
        superseded_by=row["superseded_by"],
        recalled=row["recalled"],
    )
