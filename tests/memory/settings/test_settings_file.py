"""Writing single settings keeps the rest of the user's file, or writes nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memory.errors import HomeError
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from memory.settings.settings_file import write_setting, write_settings


def test_a_change_with_another_meaning_is_not_written(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[model]\npath = "x"\n'
    home.settings_file.write_text(text)
    monkeypatch.setattr("tomlkit.dumps", lambda _document: '[model]\npath = "other"\n')
    with pytest.raises(HomeError, match=r"cannot set model\.path .* by hand"):
        write_setting(home, "model", "path", "new")
    assert home.settings_file.read_text() == text
    assert [path.name for path in home.config.glob(".config*")] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[model]\n"path" = "x" # c\n', '[model]\n"path" = "new" # c\n'),
        ('["model"] # m\npath = "x"', '["model"] # m\npath = "new"\n'),
        ('[model]\r\npath = "x"\r\n\r\n[ui]\r\n', '[model]\r\npath = "new"\r\n\r\n[ui]\r\n'),
        (
            '[chat]\nsystem = "a\u2028b"\n',
            '[chat]\nsystem = "a\u2028b"\n\n[model]\npath = "new"\n',
        ),
        (
            "[model]\ncontext = 0\n\n# how it looks\n[ui]\n",
            '[model]\ncontext = 0\npath = "new"\n\n# how it looks\n[ui]\n',
        ),
        (
            '[training]\ntargets = [\n  "q_proj", # one\n]\n',
            '[training]\ntargets = [\n  "q_proj", # one\n]\n\n[model]\npath = "new"\n',
        ),
        ('model = { path = "x" }\n', 'model = { path = "new" }\n'),
        ("model.context = 1\n", 'model.context = 1\nmodel.path = "new"\n'),
        ('[model]\npath = """\nx"""\n', '[model]\npath = "new"\n'),
        (
            '[chat]\nsystem = """\n[model]\npath = 3\n"""\n[model]\npath = "x"\n',
            '[chat]\nsystem = """\n[model]\npath = 3\n"""\n[model]\npath = "new"\n',
        ),
        (
            "[model]\r\n# one\r\n[ui]\r\n",
            '[model]\r\npath = "new"\r\n# one\r\n[ui]\r\n',
        ),
        ("[ui]", '[ui]\n\n[model]\npath = "new"\n'),
    ],
)
def test_the_rest_of_the_file_is_kept_byte_for_byte(home: Home, before: str, after: str) -> None:
    home.settings_file.write_bytes(before.encode())
    write_setting(home, "model", "path", "new")
    assert home.settings_file.read_bytes() == after.encode()


@pytest.mark.parametrize("value", ["a\x7fb", 'q"\\', "tab\t", "модель\u2028\x85.gguf"])
def test_any_text_is_read_back_unchanged(home: Home, value: str) -> None:
    write_setting(home, "model", "path", value)
    assert read_settings(home).model.path == value


def test_bytes_that_are_not_text_are_refused(home: Home) -> None:
    with pytest.raises(HomeError, match="not valid UTF-8"):
        write_setting(home, "model", "path", "/models/\udcff.gguf")
    assert not home.settings_file.exists()


def test_links_and_modes_are_kept(home: Home, tmp_path: Path) -> None:
    dotfile = tmp_path / "dotfiles.toml"
    dotfile.write_text('[ui]\ntheme = "x"\n')
    dotfile.chmod(0o640)
    home.settings_file.symlink_to(dotfile)
    write_setting(home, "ui", "theme", "discern-dark")
    assert home.settings_file.is_symlink()
    assert dotfile.read_text() == '[ui]\ntheme = "discern-dark"\n'
    assert dotfile.stat().st_mode & 0o777 == 0o640


def test_writing_nothing_creates_a_file_but_changes_none(home: Home) -> None:
    write_settings(home, {})
    assert home.settings_file.stat().st_mode & 0o777 == 0o600
    made = home.settings_file.stat()
    write_settings(home, {})
    assert home.settings_file.stat().st_ino == made.st_ino


WRITER = """
import sys
from pathlib import Path
from memory.settings.paths import Home
from memory.settings.settings_file import write_setting
home = Home.at(Path(sys.argv[1]))
for number in range(30):
    write_setting(home, sys.argv[2], sys.argv[3], number)
"""


def test_two_writing_processes_lose_nothing(home: Home) -> None:
    keys = (("training", "anchors_per_lesson"), ("night", "keep"), ("recall", "token_budget"))
    at_work = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(home.config), *key]) for key in keys
    ]
    assert [process.wait(60) for process in at_work] == [0, 0, 0]
    settings = read_settings(home)
    assert settings.training.anchors_per_lesson == 29
    assert settings.night.keep == settings.recall.token_budget == 29
