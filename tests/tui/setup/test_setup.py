"""The setup: three questions before the model loads, which can always be skipped."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import pytest
from textual import events

from agent.models import models, pull
from agent.models.models import Known, models_folder
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.hub import FILE, REPO, Hub
from tests.tui.seat import Seat, sitting
from trainer.night import service
from tui.chat.screen import ChatScreen
from tui.cli.main import run
from tui.screens.setup import SetupScreen
from tui.setup.setup import MAX_LOCAL_FILES, choices, is_first_start

OWN = "# mine\n[memory]\ndense = false # by words\n"


@pytest.fixture(autouse=True)
def nothing_else_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No models of other programs, no GPU, one model to download."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tui.setup.setup._card", lambda: 0)
    known = Known("tiny", REPO, {"q8_0": FILE}, 0.001, "chat")
    monkeypatch.setattr(models, "known_models", lambda: (known,))


@pytest.fixture
def found(tmp_path: Path, tiny: Path) -> Path:
    """A file in the hub's cache, and a damaged one beside it."""
    folder = tmp_path / "cache/huggingface/hub/models--Some--Here/snapshots/abc"
    folder.mkdir(parents=True)
    (folder / "here.gguf").write_bytes(tiny.read_bytes())
    (folder / "wreck.gguf").write_bytes(b"GGUF and no more")
    return folder / "here.gguf"


async def at(seat: Seat, text: str, *, most: int = 12) -> None:
    """Move the cursor to the row with this text."""
    for _ in range(most):
        if any(line.strip().startswith("› ") and text in line for line in seat.shown.split("\n")):
            return
        await seat.pilot.press("down")
    raise AssertionError(f"no row {text!r} in:\n{seat.shown}")


async def in_the_chat(seat: Seat) -> None:
    await seat.until(lambda: not isinstance(seat.app.screen, SetupScreen))
    await seat.ready()


async def test_pressing_enter_three_times_opens_the_chat(home: Home, settings: Settings) -> None:
    assert is_first_start(home)
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3", "› starter", "ready to use", "1,390 simple facts")
        assert not home.journal.exists()  # nothing is opened before it was answered
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3", "› every night at 03:15, while Discern is open")
        assert is_first_start(home)
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3", "night.enabled = true", "Getting started", "/diff")
        await seat.pilot.press("enter")
        await in_the_chat(seat)
        await seat.sees("Discern starter · base")
    written = read_settings(home)
    assert (written.model.path, written.night.enabled, written.night.time) == ("", True, "03:15")
    assert not is_first_start(home)


async def test_escape_opens_the_chat_and_setup_is_not_shown_again(
    home: Home, settings: Settings
) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await seat.pilot.press("escape")
        await in_the_chat(seat)
    assert not is_first_start(home)
    assert read_settings(home) == settings
    assert all(line.startswith("#") for line in home.settings_file.read_text().splitlines())


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_a_repeated_key_opens_one_chat(home: Home, settings: Settings, key: str) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        if key == "enter":
            await seat.pilot.press("enter")
            await seat.sees("step 2 of 3")
            await seat.pilot.press("enter")
            await seat.sees("step 3 of 3")
        for _ in range(4):
            seat.app.post_message(events.Key(key, None))
        await in_the_chat(seat)
        assert [type(screen) for screen in seat.app.screen_stack[1:]] == [ChatScreen]
        assert seat.screen is seat.app._chat_screen


async def test_escape_goes_back_one_step_from_every_page(home: Home, settings: Settings) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await at(seat, "your own GGUF file")
        await seat.pilot.press("enter")
        await seat.pilot.press(*"x")
        await seat.pilot.press("escape")
        await seat.pilot.press("home", "enter")
        await seat.sees("step 2 of 3")
        await seat.pilot.press("tab", "escape")
        await seat.sees("step 1 of 3")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3")
        await seat.pilot.press("escape")
        await seat.sees("step 2 of 3")
        await at(seat, "only when I run /train")
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3", "night.enabled = false")


@pytest.mark.slow
async def test_a_local_file_is_accepted_and_a_damaged_one_refused(home: Home, found: Path) -> None:
    home.settings_file.write_text(OWN)
    async with sitting(home, read_settings(home), ready=False, setup=True) as seat:
        await seat.sees("On this machine", "damaged", "fits")
        await at(seat, "wreck.gguf")
        await seat.pilot.press("enter")
        await seat.sees("! ", "wreck.gguf")
        assert "step 1 of 3" in seat.shown
        await at(seat, "here.gguf")
        assert "! " not in seat.shown
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
        await at(seat, "only when I run /train")
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3")
        await seat.pilot.press("enter")
        await in_the_chat(seat)
        assert seat.screen.chat.engine.info.path == found
    text = home.settings_file.read_text()
    assert text.startswith(OWN)
    assert read_settings(home).model.path == str(found)
    assert not read_settings(home).night.enabled


async def test_a_long_list_of_files_is_limited_and_shown_safely(
    home: Home, settings: Settings, found: Path
) -> None:
    for number in range(300):
        (found.parent / f"another-{number:03}.gguf").write_bytes(b"GGUF, but damaged")
    odd = "zz ещё\x1b[31m\nодна\u202e.gguf"
    (found.parent / odd).symlink_to(found.parent / odd)  # leads to itself
    offered = choices(home)
    assert len([item for item in offered if item.kind == "here"]) == MAX_LOCAL_FILES
    assert [item.kind for item in (offered[0], offered[-1])] == ["starter", "path"]
    async with sitting(home, settings, ready=False, setup=True, size=(40, 24)) as seat:
        await seat.sees("On this machine", "starter", "4 MB", "Some/Here:another-0…", "0 MB")
        await seat.pilot.press("end", "up", "home", "down", "escape")
        await in_the_chat(seat)


async def test_repeated_setup_starts_with_the_earlier_answers(home: Home, found: Path) -> None:
    home.settings_file.write_text(f'[model]\npath = "{found}"\n[night]\nenabled = false\n')
    async with sitting(home, read_settings(home), ready=False, setup=True) as seat:
        await seat.sees("› Some/Here:here.gguf")
        await seat.until(lambda: "fits" in seat.shown)
        await seat.pilot.press("enter")
        await seat.sees("› only when I run /train")
        await seat.pilot.press("escape")
        await seat.sees("› Some/Here:here.gguf")
        before = home.settings_file.read_text()
        await seat.pilot.press("escape")
        await in_the_chat(seat)
    assert home.settings_file.read_text() == before


async def test_a_path_is_checked_before_it_is_accepted(
    home: Home, settings: Settings, tiny: Path
) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await at(seat, "your own GGUF file")
        await seat.pilot.press("enter")
        await seat.pilot.press(*"/nowhere.gguf", "enter")
        await seat.sees("! ", "/nowhere.gguf")
        await seat.pilot.press("ctrl+u", *str(tiny), "enter")
        await seat.sees("step 2 of 3")


async def test_a_download_is_confirmed_and_fetched(
    home: Home, settings: Settings, hub: Hub
) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("Available to download", "tiny q8_0")
        await at(seat, "tiny q8_0")
        assert not hub.asked
        await seat.pilot.press("enter")
        digest = hashlib.sha256(hub.body).hexdigest()
        await seat.sees("To be downloaded", "apache-2.0", digest[:40], REPO)
        assert not any(asked.startswith("GET /Some") for asked in hub.asked)
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3")
    path = models_folder(home) / REPO / FILE
    assert path.read_bytes() == hub.body
    assert read_settings(home).model.path == str(path)


async def test_a_stopped_download_is_resumed(
    home: Home, settings: Settings, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gate = pull.pull, threading.Event()

    def slow(offer: pull.Offer, progress: pull.OnProgress) -> Path:
        def hear(done: int, total: int) -> None:
            progress(done, total)
            if done >= 1000:
                gate.wait()

        return real(offer, hear)

    monkeypatch.setattr(pull, "pull", slow)
    monkeypatch.setattr("tui.setup.fetching.PROGRESS_SECONDS", 0.0)
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("tiny q8_0")
        await at(seat, "tiny q8_0")
        await seat.pilot.press("enter")
        await seat.sees("To be downloaded")
        await seat.pilot.press("enter")
        await seat.sees("Downloading", "MB/s", "left")
        await seat.pilot.press("escape")
        await seat.sees("step 1 of 3", "Stopped.", "resumes from there", "› tiny q8_0")
        gate.set()
        await seat.until(lambda: any(models_folder(home).rglob(".*.part")))
        hub.asked.clear()
        await seat.pilot.press("enter")
        await seat.sees("To be downloaded")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
    assert any("bytes=" in asked and "bytes=0-" not in asked for asked in hub.asked)
    assert (models_folder(home) / REPO / FILE).read_bytes() == hub.body


async def test_without_a_network_an_error_and_the_choice_are_shown(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("tiny q8_0")
        await at(seat, "tiny q8_0")
        await seat.pilot.press("enter")
        await seat.sees("step 1 of 3", f"! Cannot download {REPO}:{FILE}", "› tiny q8_0")
        await seat.pilot.press("up")
        await seat.sees("› starter")
        assert "Cannot download" not in seat.shown


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """A machine with systemd; calls are recorded."""
    called: list[tuple[str, ...]] = []

    def call(words: tuple[str, ...], written: str | None = None) -> tuple[int, str]:
        called.append(words)
        return 0, ""

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(service, "detect", lambda: "systemd")
    monkeypatch.setattr(service, "_call", call)
    return called


async def test_a_timer_is_shown_before_it_is_installed(
    home: Home, settings: Settings, timer: list[tuple[str, ...]], tmp_path: Path
) -> None:
    unit = tmp_path / "config/systemd/user/discern-night.timer"
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
        await seat.pilot.press("tab", *"25:00", "enter")
        await seat.sees('Invalid time "25:00"')
        await seat.pilot.press("ctrl+u", *"04:45", "enter")
        await at(seat, "with a system timer")
        await seat.pilot.press("enter")
        await seat.sees("This timer will be installed (systemd)", "discern-night.service")
        assert not unit.exists()
        assert is_first_start(home)
        await seat.pilot.press("escape")
        await seat.sees("step 2 of 3", "› every night")
        assert not unit.exists()
        await seat.pilot.press("tab", "ctrl+u", *"04:45", "enter")
        await at(seat, "with a system timer")
        await seat.pilot.press("enter")
        await seat.sees("This timer will be installed")
        await seat.pilot.press("enter")
        await seat.sees("step 3 of 3", "Installed: systemd", 'night.time = "04:45"')
    assert "OnCalendar=*-*-* *:45:00" in unit.read_text()
    assert ("systemctl", "--user", "enable", "--now", "discern-night.timer") in timer


async def test_a_timer_that_cannot_be_installed_is_reported(
    home: Home, settings: Settings, timer: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_call", lambda *_words: (1, "no bus"))
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3")
        await at(seat, "with a system timer")
        await seat.pilot.press("enter")
        await seat.sees("This timer will be installed")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3", "! `systemctl", "no bus")


async def test_quitting_during_setup_writes_nothing(home: Home, settings: Settings) -> None:
    async with sitting(home, settings, ready=False, setup=True) as seat:
        await seat.sees("step 1 of 3")
        await seat.pilot.press("ctrl+c")
        await seat.sees("Press Ctrl+C again to quit.")
        await seat.pilot.press("ctrl+c")
        await seat.until(lambda: not seat.app.is_running)
    assert is_first_start(home)


@pytest.mark.parametrize(
    ("words", "own", "asked"),
    [
        ([], "", True),
        (["chat"], "", True),
        (["--new"], "", False),
        (["--thread", "work"], "", False),
        (["--model", "x.gguf"], "", False),
        ([], "# mine\n", False),
        (["setup"], "# mine\n", True),
    ],
)
def test_setup_is_shown_only_to_new_users(
    home: Home, monkeypatch: pytest.MonkeyPatch, words: list[str], own: str, asked: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    seen: list[Any] = []

    def opened(*_arguments: Any, setup: bool = False, **_options: Any) -> int:
        seen.append(setup)
        return 0

    monkeypatch.setattr("tui.app.run_chat", opened)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    if own:
        home.settings_file.write_text(own)
    assert run(words) == 0
    assert seen == [asked]


def test_without_a_terminal_setup_is_skipped(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(["setup"]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    assert is_first_start(home)
