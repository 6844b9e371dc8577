"""Themes are legible, selected by name, and saved."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import sitting
from tui.cli.main import run
from tui.terminal.themes import DARK, LEGIBLE, LIGHT, THEMES, contrast, own_colours


def quick(home: Home, **ui: object) -> Settings:
    return read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}, "ui": ui})


def test_black_on_white_has_the_highest_contrast_and_equal_colours_none() -> None:
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#777")) == 1


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_every_text_of_the_own_themes_is_legible(theme: Theme) -> None:
    made = theme.to_color_system().generate() | theme.variables
    for text in ("foreground", "accent", "muted", "success", "warning", "error"):
        for ground in (
            ("background", "surface", "panel")
            if text == "foreground"
            else (
                "background",
                "surface",
            )
        ):
            assert contrast(Color.parse(made[text]), Color.parse(made[ground])) >= LEGIBLE, text


@pytest.mark.parametrize("name", [name for name in THEMES if not name.startswith("ansi")])
def test_muted_text_is_as_legible_as_a_textual_theme_allows(name: str) -> None:
    made = THEMES[name].to_color_system().generate()
    ground, ink = Color.parse(made["background"]), Color.parse(made["foreground"])
    muted = Color.parse(own_colours(THEMES[name])["muted"])
    assert contrast(muted, ground) >= min(LEGIBLE, contrast(ink, ground))
    assert contrast(muted, ground) <= contrast(ink, ground)


async def test_the_chat_is_drawn_in_every_theme(home: Home) -> None:
    async with sitting(home, quick(home)) as seat:
        for name in THEMES:
            seat.app.theme = name
            await seat.pilot.pause()
            assert seat.app.theme_variables["muted"]
            assert seat.app.theme_variables["line"]
            assert "◆ discern" in seat.shown, name


async def test_a_theme_is_selected_by_name_and_saved(home: Home) -> None:
    home.settings_file.write_text('# mine\n[ui]\ntheme = "dracula"  # for now\n')
    async with sitting(home, read_settings(home)) as seat:
        assert seat.app.theme == "dracula"
        await seat.types("/theme nort")
        await seat.sees("Unknown theme nort. Did you mean nord?")
        await seat.types("/theme nord")
        await seat.until(lambda: seat.app.theme == "nord")
        await seat.until(lambda: "nord" in home.settings_file.read_text())
    assert home.settings_file.read_text() == '# mine\n[ui]\ntheme = "nord"  # for now\n'


async def test_a_theme_that_cannot_be_saved_is_still_applied(home: Home) -> None:
    async with sitting(home, quick(home)) as seat:
        home.settings_file.mkdir()  # in the place of the file
        await seat.types("/theme nord")
        await seat.until(lambda: seat.app.theme == "nord")
        await seat.sees("cannot read", "config.toml")


def test_an_unknown_theme_is_refused_with_one_sentence(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.settings_file.write_text('[ui]\ntheme = "mauve"\n')
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run(["chat"]) == 2
    said = capsys.readouterr().err
    assert "ui.theme = 'mauve' is not a theme" in said
    assert str(home.settings_file) in said
