"""Where files live, and the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory.errors import HomeError, SettingsError
from memory.settings.paths import Home
from memory.settings.settings import read_settings


def test_discern_home_moves_everything(tmp_path: Path) -> None:
    home = Home.locate({"DISCERN_HOME": str(tmp_path)})
    places = (home.journal, home.adapters, home.index, home.runs, home.settings_file)
    assert all(path.is_relative_to(tmp_path) for path in places)


def test_an_unknown_user_has_no_home() -> None:
    with pytest.raises(HomeError, match="no such user; use an absolute path"):
        Home.locate({"DISCERN_HOME": "~no such user/discern"})


def test_the_users_file_overrides_key_by_key(home: Home) -> None:
    home.settings_file.write_text('[night]\ntime = "04:30"\n')
    settings = read_settings(home)
    assert settings.night.time == "04:30"
    assert settings.night.keep == 10


@pytest.mark.parametrize(
    ("written", "read"), [("true", "always"), ("false", "never"), ('"auto"', "auto")]
)
def test_a_scope_is_read_as_earlier_versions_wrote_it(home: Home, written: str, read: str) -> None:
    home.settings_file.write_text(f"[chat]\nscope = {written}\n")
    assert read_settings(home).chat.scope == read


def test_the_command_line_overrides_the_users_file(home: Home) -> None:
    home.settings_file.write_text('[model]\npath = "a.gguf"\n')
    assert read_settings(home, {"model": {"path": "b.gguf"}}).model.path == "b.gguf"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[night]\ntimes = 3", "unknown key night.times"),
        ("[nights]\n", r"unknown section \[nights\]"),
        ("night = 3", r"must be a section, written as \[night\]"),
        ('[night]\ntime = "25:00"', "night.time = '25:00' is invalid"),
        ('[model]\ncontext = "big"', "model.context = 'big' is invalid"),
        ("[recall]\nfloor = 2.0", "recall.floor = 2.0 is invalid"),
        ('[training]\ntargets = ["lm_head"]', "'lm_head' is not one of"),
        ("[night\n", "is not valid TOML"),
    ],
)
def test_an_error_names_the_file_with_the_mistake(home: Home, text: str, said: str) -> None:
    home.settings_file.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        read_settings(home)
    assert str(home.settings_file) in str(caught.value)


def test_an_unreachable_settings_file_is_named(home: Home) -> None:
    home.settings_file.symlink_to(home.settings_file.name)  # a loop that leads nowhere
    with pytest.raises(SettingsError, match="cannot read") as caught:
        read_settings(home)
    assert str(home.settings_file) in str(caught.value)


def test_a_home_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeError, match="cannot create the folder"):
        Home.at(tmp_path / "file" / "home").prepare()
