"""Editing the draft in the user's editor, with real programs as editors."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import sys
import time
from pathlib import Path

import pytest

from memory.errors import HomeError, SettingsError
from memory.settings.paths import Home
from tests.tui.pseudo_terminal import Terminal
from tui.terminal.editor import abandoned_drafts, edited, editor


def program(folder: Path, body: str) -> Path:
    path = folder / "an editor"
    path.write_text(f"#!{sys.executable}\nimport sys\npath = sys.argv[-1]\n{body}\n")
    path.chmod(0o700)
    return path


def test_the_text_saved_in_the_editor_becomes_the_draft(tmp_path: Path) -> None:
    path = program(
        tmp_path, "text = open(path).read()\nopen(path, 'w').write(text + ' ♦\\nmore\\n')"
    )
    assert edited("a draft", [str(path), "--wait"], tmp_path / "drafts") == "a draft ♦\nmore"


def test_the_editor_may_have_arguments_and_visual_takes_precedence(tmp_path: Path) -> None:
    path = program(tmp_path, "")
    said = f"{shlex.quote(str(path))} --wait -n"
    assert editor({"VISUAL": said, "EDITOR": "ed"}) == [str(path), "--wait", "-n"]
    assert editor({"VISUAL": " ", "EDITOR": said}) == [str(path), "--wait", "-n"]


def test_a_missing_editor_is_reported_with_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'nowhere-to-be-found' set in \$EDITOR was not found"):
        editor({"EDITOR": "nowhere-to-be-found -x"})
    with pytest.raises(SettingsError, match="is not a valid command"):
        editor({"EDITOR": "vim 'unclosed"})
    with pytest.raises(SettingsError, match=r"set \$EDITOR"):
        editor({"PATH": str(tmp_path)})


def test_a_failing_editor_keeps_the_draft_and_the_written_text(tmp_path: Path) -> None:
    path = program(tmp_path, "raise SystemExit(3)")
    with pytest.raises(SettingsError, match="exited with code 3; the draft is unchanged"):
        edited("a draft", [str(path)], tmp_path / "drafts")
    path = program(tmp_path, "open(path, 'w').write('half'); raise SystemExit(1)")
    with pytest.raises(SettingsError, match="your text is in") as caught:
        edited("a draft", [str(path)], tmp_path / "drafts")
    kept = Path(str(caught.value).rpartition(" in ")[2])
    assert kept.read_text() == "half"
    assert kept.parent.stat().st_mode & 0o077 == 0


def test_an_unreadable_text_is_left_in_its_file(tmp_path: Path) -> None:
    for body, said in (
        ("open(path, 'wb').write(b'\\xff\\xfe')", "it is not UTF-8 text"),
        ("import os; os.remove(path); os.mkfifo(path)", "it is a named pipe, not a file"),
        ("import os; os.remove(path); os.mkdir(path)", "it is a folder, not a file"),
        ("open(path, 'wb').truncate(3 << 30)", "it is 3,221.2 MB"),
    ):
        with pytest.raises(SettingsError, match=said) as caught:
            edited("a draft", [str(program(tmp_path, body))], tmp_path / "drafts")
        kept = re.search(r"cannot read (\S+), saved by", str(caught.value))
        assert kept
        assert Path(kept[1]).exists()
        shutil.rmtree(Path(kept[1]).parent)


def test_a_byte_order_mark_and_windows_line_endings_are_removed_from_a_draft(
    tmp_path: Path,
) -> None:
    path = program(tmp_path, "open(path, 'wb').write(b'\\xef\\xbb\\xbfone\\r\\ntwo\\r\\n')")
    assert edited("a draft", [str(path)], tmp_path / "drafts") == "one\ntwo"


def test_a_draft_that_does_not_fit_on_the_disk_is_reported(tmp_path: Path) -> None:
    (tmp_path / "drafts").write_text("in the way")
    with pytest.raises(HomeError, match=r"cannot write the draft for the editor to .*drafts: "):
        edited("a draft", ["true"], tmp_path / "drafts")


def test_the_draft_of_a_killed_chat_is_restored_once_its_editor_is_closed(
    settled: Home, tmp_path: Path
) -> None:
    """Chat and editor are killed separately: the draft is in use until both have ended."""
    go, said = tmp_path / "go", tmp_path / "said"
    path = program(
        tmp_path,
        "import os, signal, time\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        f"open(path, 'a').write(' and more ♦')\nopen({str(said)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.02)\n",
    )
    with Terminal("tui", "chat", "--new", VISUAL=shlex.quote(str(path))) as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"half a message\x07")
        terminal.until(said.exists)
        (draft,) = settled.drafts.glob("*/draft.md")
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        assert stat.S_IMODE(settled.drafts.stat().st_mode) == 0o700
        terminal.process.kill()
        terminal.process.wait(60)
        assert list(abandoned_drafts(settled)) == []
        assert draft.exists()
        go.touch()
        while not (found := list(abandoned_drafts(settled))):
            time.sleep(0.02)
    assert found == ["half a message and more ♦"]
    assert list(settled.drafts.iterdir()) == []


def test_the_draft_of_a_killed_chat_is_in_the_input_of_the_next(settled: Home) -> None:
    folder = settled.drafts / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "draft.md").write_text("half a message ♦\n", encoding="utf-8")
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"half a message" in terminal.out)
    assert list(settled.drafts.iterdir()) == []


def test_no_draft_is_read_through_a_link_out_of_the_home(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "draft.md").write_text("not ours")
    home.drafts.mkdir(parents=True)
    (home.drafts / "0123456789abcdef").symlink_to(outside)
    assert list(abandoned_drafts(home)) == []
    assert (outside / "draft.md").exists()
