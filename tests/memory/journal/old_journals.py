"""Journals as earlier versions wrote them, with the original statements."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

_VERSION_1 = (
    """create table turns (
        seq integer primary key, id text unique not null, thread text not null, at text not null,
        asked text not null, replied text not null, model text not null, adapter text,
        recalled text not null, surprisal text not null, prompt_tokens integer not null,
        stopped integer not null) strict""",
    "create index turns_by_thread on turns (thread, seq)",
    """create table differences (
        seq integer primary key, id text unique not null, turn text not null,
        thread text not null, at text not null, moment text not null, kind text,
        asked text not null, replied text not null, missed text, lost text, sounds text,
        note text, span text, model text not null, adapter text, state text not null) strict""",
    """create table nights (
        day text primary key, state text not null, attempt integer not null,
        started text not null, beat text not null, owner text not null, outcome text) strict""",
    "create table facts (name text primary key, value text not null) strict",
    "create virtual table stems using fts5 (asked, tokenize = 'unicode61')",
    "create virtual table stem_counts using fts5vocab ('stems', 'row')",
    "pragma user_version=1",
)


def write_version_1(path: Path, count: int) -> list[str]:
    """Make a journal of version 1 with `count` turns, each marked; return the differences' ids."""
    ids = [f"{number:016x}" for number in range(count)]
    at = "2026-11-20T10:00:00+00:00"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("begin")
        for statement in _VERSION_1:
            connection.execute(statement)
        for number, identity in enumerate(ids):
            turn, asked = f"turn{number:012x}", f"What is the capital of land {number}?"
            connection.execute(
                "insert into turns (id, thread, at, asked, replied, model, adapter, recalled, "
                "surprisal, prompt_tokens, stopped) values (?,?,?,?,?,?,?,?,?,?,?)",
                (turn, "main", at, asked, "I don't know.", "tiny@0", None, "[]",
                 json.dumps([0.5, 1.25]), 7, 0),
            )  # fmt: skip
            connection.execute(
                "insert into differences (id, turn, thread, at, moment, kind, asked, replied, "
                "missed, lost, sounds, note, span, model, adapter, state) "
                "values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (identity, turn, "main", at, "error", "tactical/fact", asked, "I don't know.",
                 None, None, f"Lutz number {number}. " * 20, None, json.dumps([0, 1, "I"]),
                 "tiny@0", None, "trained"),
            )  # fmt: skip
            connection.execute(
                "insert into stems (rowid, asked) values (?, ?)",
                (number + 1, f"capit land {number}"),
            )
        connection.execute("insert into nights values ('2026-11-20', 'published', 1, ?, ?, 'o', '')",
                           (at, at))  # fmt: skip
        connection.execute("insert into facts values ('last thread', 'main')")
        connection.execute("commit")
    return ids
