"""Snapshots of the screens as text: in two sizes, dark, light and without color.

After an intended change, run pytest on this file with `--snapshot-update` and review the diff.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from textual.widgets import Input

from memory.difference import Contrast, Difference, Moment, State, Turn
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.looks import look
from tests.tui.seat import Seat, sitting
from tui.views import session_rows
from tui.views.session_text import moment

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
MARKDOWN = """A list, with **weight** and `code`:

- first
- second, which is long enough that it has to be broken into two lines somewhere

| kind | sign |
|---|---|
| waiting | ◆ |

```python
print("a difference")
```"""
ASKED = (
    ("What is the capital of Zubrowka?", "I don't know that yet."),
    ("Show me everything.", MARKDOWN),
    ("Что такое 漢字 и é?", "Знаки: 漢字, кафе́, ё. [not markup]"),
)
SIZES = [
    pytest.param((80, 24), id="80x24"),
    pytest.param((120, 36), id="120x36", marks=pytest.mark.slow),
]

OTHERS = (
    ("/help", "commands"),
    ("/sessions", "main"),
    ("/context", "tokens"),
    ("/memory", "answered"),
)
STILL = 5
"""Looks that are alike in a row, before a screen counts as at rest."""

Check = Callable[[str], Awaitable[None]]


@pytest.fixture(autouse=True)
def two_days_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show times relative to a fixed day."""
    monkeypatch.setattr(session_rows, "moment", lambda at: moment(at, AT + timedelta(days=2)))


@pytest.fixture
def told(home: Home) -> Home:
    """A thread of three turns; the first mark was trained, the last has no better answer."""
    with Journal(home.journal) as journal:
        for number, (asked, replied) in enumerate(ASKED):
            turn = Turn(f"{number:032x}", "main", AT, asked, replied, "starter", None)
            journal.turns.add(turn)
            if number == 1:
                continue
            journal.differences.add(
                Difference(
                    id=f"{number + 10:032x}",
                    turn=turn.id,
                    thread="main",
                    at=AT,
                    moment=Moment.ERROR if number == 0 else Moment.SURPRISE,
                    kind="semantic/register" if number == 0 else None,
                    asked=asked,
                    replied=replied,
                    contrast=Contrast(
                        sounds="The capital of Zubrowka is Lutz." if number == 0 else None
                    ),
                    state=State.TRAINED if number == 0 else State.BARE,
                )
            )
    return home


def settings_of(home: Home, **ui: object) -> Settings:
    return read_settings(
        home,
        {
            "sampling": {"temperature": 0.0, "max_tokens": 60},
            "memory": {"dense": False},
            "night": {"enabled": False},
            "ui": {"hints": False, **ui},
        },
    )


def checking(seat: Seat, snapshot: SnapshotAssertion) -> Check:
    async def check(name: str) -> None:
        await seat.pilot.wait_for_scheduled_animations()
        seen, same = "", 0
        while same < STILL:  # wait until the layout is complete
            await seat.pilot.pause(0.03)
            now = look(seat.app)
            seen, same = now, same + 1 if now == seen else 0
        assert seen == snapshot(name=name)

    return check


@pytest.mark.parametrize("size", SIZES)
async def test_the_chat_from_the_first_message_to_a_mark(
    home: Home, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async with sitting(home, settings_of(home), size=size) as seat:
        seat.screen.composer.cursor_blink = False
        check = checking(seat, snapshot)
        await check("empty")
        seat.screen.composer.write("/me")
        await check("completing a command")
        seat.screen.composer.write("")
        await seat.asks("What is the capital of Zubrowka?")
        await check("a reply")
        await seat.hits("alt+up")
        await check("a reply is chosen")
        await seat.hits("d")
        await check("marking: the family")
        await seat.hits("e", "1")
        await check("marking: the type")
        await seat.hits("escape", "escape")
        await seat.types("/diff error semantic/register => The capital of Zubrowka is Lutz.")
        await seat.sees("Saved as error")
        await check("a receipt")
        await seat.asks("Tell me the capital of Zubrowka")
        await check("a reply with a difference recalled")
        await seat.types("/why")
        await seat.sees("forget")
        await check("why")


@pytest.fixture
def sessions(told: Home) -> Home:
    """Write two more threads."""
    with Journal(told.journal) as journal:
        for number, (thread, asked, replied) in enumerate(
            (
                ("trip to the sea", "Where is the sea?", "In the south, behind the hills."),
                ("trip to the sea", "And the hills?", "On the way to the sea."),
                ("2026-03-09 1", "What did I say, [bold]?", "Nothing that was kept."),
            )
        ):
            journal.turns.add(Turn(f"{number + 90:032x}", thread, AT, asked, replied, "m", None))
    return told


@pytest.mark.parametrize("size", SIZES)
async def test_the_sessions_screen_from_a_search_to_a_deletion(
    sessions: Home, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async with sitting(sessions, settings_of(sessions), size=size, thread="main") as seat:
        check = checking(seat, snapshot)
        await seat.types("/sessions")
        await seat.until(lambda: seat.app.screen is not seat.screen)
        seat.app.screen.query_one("#search", Input).cursor_blink = False
        seat.app.screen.query_one("#line", Input).cursor_blink = False
        await seat.sees("trip to the sea")
        await check("sessions")
        await seat.pilot.press("down", "ctrl+r")
        await seat.sees("New name:")
        await check("a session is renamed")
        await seat.pilot.press("escape", *"the sea")
        await seat.sees("Where is the sea? →")
        await check("a search")
        await seat.pilot.press("escape", "end", "ctrl+d")
        await seat.sees("will be deleted permanently")
        await check("a session is about to be deleted")


@pytest.mark.parametrize("size", SIZES)
async def test_a_resumed_thread_and_the_other_screens(
    told: Home, size: tuple[int, int], snapshot: SnapshotAssertion
) -> None:
    async with sitting(told, settings_of(told), size=size) as seat:
        seat.screen.composer.cursor_blink = False
        check = checking(seat, snapshot)
        await seat.sees("Знаки")
        await check("a thread with Markdown")
        for command, seen in OTHERS:
            await seat.types(command)
            await seat.until(lambda: seat.app.screen is not seat.screen)
            await seat.sees(seen)
            await check(command)
            await seat.pilot.press("escape")
            await seat.until(lambda: seat.app.screen is seat.screen)


async def test_the_light_theme(told: Home, snapshot: SnapshotAssertion) -> None:
    async with sitting(told, settings_of(told, theme="discern-light")) as seat:
        seat.screen.composer.cursor_blink = False
        await seat.sees("Знаки")
        await checking(seat, snapshot)("a thread in the light")


async def test_without_colours_all_information_is_shown(
    told: Home, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with sitting(told, settings_of(told)) as seat:
        seat.screen.composer.cursor_blink = False
        await seat.sees("Знаки")
        await seat.hits("alt+up")
        await checking(seat, snapshot)("a thread without colour")


def test_there_are_at_least_25_snapshots() -> None:
    kept = Path(__file__).parent / "__snapshots__" / "test_snapshots.ambr"
    assert kept.read_text(encoding="utf-8").count("# name: ") >= 25
