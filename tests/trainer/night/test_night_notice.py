"""The notice about a night: once for each outcome, and none for nights without one."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path

import pytest

from memory.journal.journal import Journal
from memory.sentence import verbatim
from memory.settings.paths import Home
from trainer.night import night_notice


def night(journal: Journal, day: str, state: str, outcome: str) -> None:
    journal.nights.claim(day, "here:1:1", stale_after=180, attempts=3)
    journal.nights.end(day, "here:1:1", state, verbatim(outcome))


def test_each_outcome_is_announced_once(home: Home) -> None:
    with Journal(home.journal) as journal:
        assert night_notice.take_notice(journal) is None
        night(journal, "2026-03-10", "published", "Learned 2 of 2 lessons from 2 differences.")
        said = night_notice.take_notice(journal, date(2026, 3, 10))
        assert said == (
            "Last night's training finished. Learned 2 of 2 lessons from 2 differences. "
            "See /report for details."
        )
        assert night_notice.take_notice(journal, date(2026, 3, 10)) is None
        night(journal, "2026-03-11", "nothing", "0 new differences")
        night(journal, "2026-03-12", "stopped", "the training was stopped")
        assert night_notice.take_notice(journal, date(2026, 3, 12)) is None
        night(journal, "2026-03-13", "rejected", "Adapter rejected:\nperplexity +5%.")
        assert night_notice.take_notice(journal, date(2026, 3, 15)) == (
            "The training on the night of 2026-03-13 finished. Adapter rejected: perplexity +5%. "
            "See /report for details."
        )
        night(journal, "2026-03-16", "failed", "the training ran out of memory")
        said = night_notice.take_notice(journal, date(2026, 3, 16))
        assert said is not None
        assert "Last night's training failed: the training ran out of memory" in said
    with Journal(home.journal) as journal:
        assert night_notice.take_notice(journal, date(2026, 3, 16)) is None


def test_an_outcome_announced_by_an_open_chat_is_not_repeated(home: Home) -> None:
    with Journal(home.journal) as journal:
        night(journal, "2026-03-10", "published", "Learned.")
        night_notice.mark_shown(journal)
        assert night_notice.take_notice(journal) is None


def test_desktop_notification_text_cannot_be_read_as_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "notify-send"  # a stand-in that records its arguments
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.log"\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    assert night_notice.notify("--help $(touch x)")
    assert (tmp_path / "notify-send.log").read_text().splitlines()[-3:] == [
        "--", "Discern", "--help $(touch x)",
    ]  # fmt: skip
    stand_in.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not night_notice.notify("Learned.")
