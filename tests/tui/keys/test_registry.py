"""The key registry agrees with bindings, settings, help and the commands page."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.color import Color

from memory.errors import SettingsError
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings, shipped_settings_file
from tests.tui.seat import sitting
from tui.app import DiscernApp
from tui.chat.screen import ChatScreen
from tui.cli.main import run
from tui.keys.bindings import Keyboard, display
from tui.keys.registry import KEYS, PLACES
from tui.screens.compare import CompareScreen
from tui.screens.context import ContextScreen
from tui.screens.differences import DifferencesScreen
from tui.screens.help import HelpScreen
from tui.screens.report import ReportScreen
from tui.screens.sessions import SessionsScreen
from tui.screens.training import TrainingScreen
from tui.terminal.themes import DARK, LEGIBLE, LIGHT, contrast
from tui.views.mark_status import FAMILIES, MARK_STATUSES
from tui.widgets.chat.why_card import WhyCard
from tui.widgets.composer.composer import Composer
from tui.widgets.marking.contrast_card import ContrastCard
from tui.widgets.marking.mark_picker import MarkPicker
from tui.widgets.marking.word_picker import WordPicker

QUICK: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 0.0, "max_tokens": 60},
    "memory": {"dense": False},
    "night": {"enabled": False},
}


def test_every_binding_of_the_chat_and_its_screens_is_in_the_registry() -> None:
    known = {key.id for key in KEYS}
    bound: set[str] = set()
    parts = (DiscernApp, ChatScreen, Composer, ContrastCard, WhyCard, MarkPicker, WordPicker)
    screens = (SessionsScreen, DifferencesScreen, HelpScreen, CompareScreen, ReportScreen)
    for owner in (*parts, *screens, ContextScreen, TrainingScreen):
        for base in owner.__mro__:
            if not base.__module__.startswith("tui."):
                continue
            for binding in vars(base).get("BINDINGS", ()):
                assert isinstance(binding, Binding)
                assert binding.id in known, f"{owner.__name__}: {binding.key} has no id"
                assert hasattr(owner, "action_" + binding.action.partition("(")[0])
                bound.add(binding.id)
    assert bound == {key.id for key in KEYS if key.action}


def test_the_shipped_settings_name_every_action_with_its_keys() -> None:
    shipped = tomllib.loads(shipped_settings_file().read_text(encoding="utf-8"))["keys"]
    assert shipped == {key.id: ", ".join(key.keys) for key in KEYS}
    assert Keyboard(shipped).own == {}
    assert {key.where for key in KEYS} == set(PLACES)


def test_the_commands_page_lists_every_key_and_sign() -> None:
    page = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert all(f"`{key.id}`" in page and key.help in page for key in KEYS)
    assert all(status.meaning in page for status in MARK_STATUSES)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"mark_now": "ctrl+nokey"}, "keys.mark_now = 'ctrl+nokey' is not a key"),
        ({"mark_now": "hyper+d"}, "is not a key; use a key such as"),
        ({"mark_now": ""}, "keys.mark_now = '' is not a key"),
        ({"mark_now": "m"}, "a single letter is typed into the message"),
        ({"mark_now": "ctrl+t"}, "keys.mark_now and keys.training both use 'ctrl+t'"),
        ({"unmark": "d"}, "keys.mark and keys.unmark both use 'd'"),
        ({"pin": "alt+up"}, "keys.earlier_reply and keys.pin both use 'alt+up'"),
        ({"rename_session": "r"}, "a single letter is typed into the message"),
        (
            {"delete_session": "ctrl+e"},
            "keys.delete_session and keys.export_session both use 'ctrl+e'",
        ),
        ({"export_session": "ctrl+p"}, "keys.palette and keys.export_session both use 'ctrl+p'"),
        ({"forget": "p"}, "keys.pin_difference and keys.forget both use 'p'"),
        ({"sift": "enter"}, "keys.choose and keys.sift both use 'enter'"),
        ({"tie": "escape"}, "keys.back and keys.tie both use 'escape'"),
        ({"nothing": "a"}, "keys.nothing is not an action"),
    ],
)
def test_invalid_keys_are_refused_with_one_sentence(own: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml") as refused:
        Keyboard(own)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_invalid_key_in_the_settings_gives_exit_code_2(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.prepare()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for line, said in (
        ('marc = "x"', "unknown key keys.marc; did you mean mark?"),
        ('unmark = "d"', "keys.mark and keys.unmark both use 'd'"),
        ("unmark = 3", "keys.unmark = 3 is invalid"),
    ):
        home.settings_file.write_text(f"[keys]\n{line}\n")
        assert run(["chat"]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert "Traceback" not in told


def test_keys_are_parsed_in_any_order_and_shown_in_the_usual_form() -> None:
    keyboard = Keyboard({"mark_now": "Shift+Ctrl+M, f5", "grow": "?"})
    assert keyboard.keys["mark_now"] == ("ctrl+shift+m", "f5")
    assert keyboard.keys["grow"] == ("question_mark",)
    assert keyboard.own == {"mark_now": "ctrl+shift+m,f5", "grow": "question_mark"}
    assert display("alt+up") == "Alt+↑"
    assert display("ctrl+j") == "Ctrl+J"


def test_screens_may_use_the_same_keys_as_the_chat_and_each_other() -> None:
    own = {"rename_session": "ctrl+t", "forget": "b", "report_page": "m", "close_context": "down"}
    assert Keyboard(own).own == own


async def test_the_keys_of_a_screen_can_be_remapped_and_its_hint_line_shows_them(
    home: Home,
) -> None:
    own = {"pin_difference": "x", "choose": "ctrl+o", "back": "f8", "next_row": "ctrl+n"}
    settings = read_settings(home, QUICK | {"keys": own})
    async with sitting(home, settings) as seat:
        for asked in ("What is 2 + 3?", "What is 4 + 5?"):
            await seat.asks(asked)
            await seat.types("/diff error => Hm.")
            await seat.sees("Saved as error")
        await seat.types("/memory")
        await seat.sees("x pin", "Ctrl+O open", "F8 back")
        await seat.pilot.press("p", "ctrl+n", "x")
        await seat.sees("· pinned")
        first, second = seat.screen.chat.journal.differences.all()
        assert (first.pinned, second.pinned) == (True, False)
        await seat.pilot.press("escape")
        assert isinstance(seat.app.screen, DifferencesScreen)
        await seat.pilot.press("f8")
        await seat.until(lambda: seat.app.screen is seat.screen)


async def test_a_remapped_key_works_and_the_old_one_does_not(home: Home) -> None:
    settings = read_settings(home, QUICK | {"keys": {"mark_now": "f7", "mark": "m"}})
    async with sitting(home, settings) as seat:
        await seat.asks("What is 2 + 3?")
        await seat.pilot.press("alt+d")
        assert not seat.screen.query(MarkPicker)
        await seat.pilot.press("f7")
        await seat.sees("◆ mark the reply")
        await seat.pilot.press("escape", "alt+up")
        await seat.sees("m mark")
        await seat.pilot.press("m")
        await seat.sees("◆ mark the reply")


@pytest.mark.parametrize(
    "size",
    [(80, 24), *(pytest.param(size, marks=pytest.mark.slow) for size in ((120, 36), (40, 12)))],
)
async def test_help_is_filtered_by_typing_and_inserts_a_command(
    home: Home, size: tuple[int, int]
) -> None:
    settings: Settings = read_settings(home, QUICK | {"keys": {"training": "f9"}})
    async with sitting(home, settings, size=size) as seat:
        await seat.pilot.press("f1")
        await seat.sees("Commands", "/diff", "Esc")
        assert all(len(line) <= size[0] for line in seat.shown.splitlines())
        await seat.pilot.press(*"watch the")
        await seat.sees("F9", "watch, stop or ab")
        assert "/diff" not in seat.shown
        await seat.pilot.press(*["backspace"] * 9, *"gutter-nothing")
        await seat.sees("No matches for")
        await seat.pilot.press(*["backspace"] * 14, *"threads", "enter")
        await seat.sees("No threads yet")
        await seat.types("/help wrong")
        await seat.sees("✗", "trained, but the reply")
        await seat.pilot.press("escape")
        await seat.until(lambda: not isinstance(seat.app.screen, HelpScreen))
        assert seat.screen.composer.has_focus


def test_family_colours_are_legible_on_both_backgrounds() -> None:
    for ground, theme in ((0, DARK), (1, LIGHT)):
        for pair in FAMILIES.values():
            background = Color.parse(str(theme.background))
            assert contrast(Color.parse(pair[ground]), background) >= LEGIBLE


async def test_the_send_and_newline_keys_can_be_swapped(home: Home) -> None:
    settings = read_settings(home, QUICK | {"keys": {"send": "ctrl+j", "newline": "enter"}})
    async with sitting(home, settings) as seat:
        await seat.pilot.press("a", "enter", "b")
        assert seat.draft == "a\nb"
        await seat.pilot.press("ctrl+j")
        await seat.until(lambda: [view.asked for view in seat.screen.transcript.turns] == ["a\nb"])
        await seat.until(lambda: not seat.screen.conversation.streaming)


async def test_the_palette_shows_the_current_keys_of_its_commands(home: Home) -> None:
    settings = read_settings(home, QUICK | {"keys": {"training": "f9"}})
    async with sitting(home, settings) as seat:
        await seat.asks("What is 2 + 3?")
        offered = {item.title: item for item in seat.app.get_system_commands(seat.app.screen)}
        panel = next(
            item for title, item in offered.items() if title.startswith("Watch, stop or abort")
        )
        assert panel.help == "F9"
        assert "/diff" in offered
        assert "/training" in offered
        next(
            item for title, item in offered.items() if title.startswith("Mark the selected")
        ).callback()
        await seat.sees("◆ mark the reply")
