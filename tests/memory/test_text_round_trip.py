"""Text is stored, exported and recalled exactly as it was written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from memory.difference import MAX_FIELD, Turn, clean_field, new_id, now
from memory.errors import ExchangeError, MarkError
from memory.journal.tables.threads import ThreadExport
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.recall.hybrid_search import Recalled, render
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.text.quoting import _CLOSES, _LINE_END, _OPENS, INDENT, quoted
from memory.transfer.export_schema import read_line, to_line
from memory.transfer.import_export import confirm, export_file, read_batch
from memory.transfer.session_file import to_json
from tests.support.unicode_texts import texts

COUNT = 150
INDENTED = re.compile(f"({_LINE_END.pattern}){INDENT}")
APART = re.compile(rf"<\ {_OPENS}|\|\ {_CLOSES}", re.IGNORECASE)


def unquoted(text: str) -> str:
    """Return the stored text that `quoted` was given."""
    whole = INDENTED.sub(lambda found: found[1], text)
    return APART.sub(lambda found: found[0][0], whole)


def test_quoting_for_a_prompt_is_reversible_and_safe() -> None:
    for text in texts(1, 3000):
        data = quoted(text)
        assert unquoted(data) == text
        assert "<|" not in data
        assert "|>" not in data
        assert "<think" not in data.lower()
        assert "</think" not in data.lower()
        later = data.splitlines()[1:]
        assert all(line.startswith(INDENT) or not line for line in later), data


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mark_is_unchanged_after_journal_export_and_import(
    home: Home, settings: Settings, tmp_path: Path, seed: int
) -> None:
    said = texts(seed, COUNT)
    with Memory.open(home, settings, dense=False) as memory:
        for number in range(0, COUNT - 4, 5):
            asked, replied, missed, sounds, note = said[number : number + 5]
            if sounds.strip() == replied.strip():
                continue
            turn = Turn(new_id(), f"t{number}", now(), asked, replied, "m", None)
            memory.journal.turns.add(turn)
            kept = memory.mark(turn, MarkRequest("error", missed=missed, sounds=sounds, note=note))
            contrast = kept.contrast
            found = memory.journal.differences.get(kept.id)
            assert (found.asked, found.replied) == (asked, replied)
            assert (contrast.missed, contrast.sounds, kept.note) == (missed, sounds, note)
            assert found == kept
            record = read_line(to_line(found).encode())
            assert (record.asked, record.replied, record.sounds) == (asked, replied, sounds)
            told = json.loads(to_json(ThreadExport(turn.thread, (turn,), (found,))))["turns"][0]
            assert (told["asked"], told["replied"]) == (asked, replied)
            assert told["marks"][0]["sounds"] == sounds
            block, _items = render([Recalled(found, 1.0, ())], budget=10**6, count=len)
            assert quoted(asked) in block
            assert quoted(sounds) in block
        first = export_file(memory, tmp_path / "a.jsonl")
        marks = memory.journal.differences.all()
    other = Home(*(tmp_path / name for name in ("c", "d", "s", "k"))).prepare()
    with Memory.open(other, settings, dense=False) as memory:
        confirm(memory, read_batch(memory, tmp_path / "a.jsonl").id)
        again = memory.journal.differences.all()
        assert first == len(again) == len(marks)
        for one, same in zip(marks, again, strict=True):
            assert (one.asked, one.replied, one.contrast, one.note, one.span, one.before) == (
                same.asked, same.replied, same.contrast, same.note, same.span, same.before,
            )  # fmt: skip


def test_a_field_is_stored_unchanged_or_refused() -> None:
    for text in texts(3, 2000):
        assert clean_field("note", text) == text
    assert clean_field("note", " \n\t") is None
    with pytest.raises(MarkError, match="invalid character at position 1"):
        clean_field("note", "a\ud800")
    with pytest.raises(MarkError, match="characters and a mark stores"):
        clean_field("note", "x" * (MAX_FIELD + 1))
    line = '{"id": "1", "at": "2026-01-01T00:00:00Z", "moment": "error", "asked": "a\\ud800", '
    line += '"replied": "b"}'
    with pytest.raises(ExchangeError):
        read_line(line.encode())
