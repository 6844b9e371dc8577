"""Damaged or read-only checkpoints on the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.chat.checkpoints import damaged_copy
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.agent.chat.test_checkpoints import another, half, torn
from tests.support.command_line import call, said
from tests.support.mounts import mounted, needs_mounts


@pytest.mark.parametrize("damage", [torn, half, another], ids=lambda damage: damage.__name__)
def test_ask_moves_damaged_checkpoints_and_reports_it_once(
    configured: Home, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    said(capsys, "ask", "One?", "--thread", "work")
    damage(configured.checkpoints)
    code, out, err = call(capsys, "memory", "check")
    assert code == 0, err
    assert "are damaged" in out
    assert "No problems found" in out
    code, out, err = call(capsys, "doctor", "--json")
    assert code == 0, err
    assert "threads.sqlite are damaged" in out
    code, out, err = call(capsys, "ask", "Two?", "--thread", "work")
    assert code == 0
    assert out.strip()
    assert "rebuilt from the journal" in err
    assert "Traceback" not in err
    assert damaged_copy(configured.checkpoints).exists()
    code, out, err = call(capsys, "ask", "Three?", "--thread", "work")
    assert code == 0
    assert "journal" not in err
    out = call(capsys, "memory", "check")[1]
    assert "are damaged" not in out
    assert f"moved to {damaged_copy(configured.checkpoints)}" in out
    with Journal(configured.journal) as journal:
        assert [turn.asked for turn in journal.branches.current("work")] == [
            "One?",
            "Two?",
            "Three?",
        ]


@pytest.mark.parametrize("damage", [torn, half, another], ids=lambda damage: damage.__name__)
def test_forget_and_delete_work_despite_damaged_checkpoints(
    configured: Home, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    said(capsys, "ask", "One?", "--thread", "work")
    kept = said(capsys, "mark", "--moment", "error", "--expected", "Lutz.")
    damage(configured.checkpoints)
    assert call(capsys, "memory", "forget", kept["id"], "--yes")[0] == 0
    said(capsys, "ask", "Two?", "--thread", "work")
    damage(configured.checkpoints)
    code, out, err = call(capsys, "sessions", "delete", "work", "--yes")
    assert code == 0, err
    assert out.startswith("Deleted: work")


@needs_mounts
def test_read_only_checkpoints_do_not_stop_ask(configured: Home, tiny: Path) -> None:
    """Put the checkpoints on a read-only file system; the journal's stays writable."""
    held = configured.checkpoints
    with Journal(configured.journal):
        held.touch()
    words = mounted(f"mount --bind {held} {held}", f"mount -o remount,ro,bind {held}")
    done = subprocess.run(
        [*words, sys.executable, "-m", "tui", "ask", "One?"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), done.stderr
    assert "cannot write the checkpoints" in done.stderr
    assert "the conversation is still saved in the journal" in done.stderr
    assert "Traceback" not in done.stderr
    with Journal(configured.journal) as journal:
        assert [turn.asked for turn in journal.turns.all()] == ["One?"]


def test_checkpoints_deleted_under_an_open_chat_do_not_stop_a_turn(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    from agent.chat.chat import Chat
    from memory.settings.settings import read_settings

    with Chat.open(configured, read_settings(configured), thread="work") as chat:
        list(chat.say("One?"))
        for path in configured.data.glob("threads.sqlite*"):
            path.unlink()
        list(chat.say("Two?"))
        shutil.copy(__file__, configured.checkpoints)
        list(chat.say("Three?"))
    said(capsys, "ask", "Four?", "--thread", "work")
    with Journal(configured.journal) as journal:
        asked = [turn.asked for turn in journal.branches.current("work")]
    assert asked == ["One?", "Two?", "Three?", "Four?"]
