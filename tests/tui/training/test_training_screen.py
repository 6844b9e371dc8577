"""The training screen: trainings of this chat, of another process, and finished ones."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from memory.difference import now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.processes import Night
from tests.support.values import difference
from tests.tui.recorded import ASKED, EVENTS, NAME, marked, recorded
from tests.tui.screens.test_report import trained
from tests.tui.seat import Seat, sitting, until
from trainer.night.run import CONTROL
from tui.screens.report import ReportScreen
from tui.screens.training import TrainingScreen
from tui.training.run_follower import RunFollower
from tui.training.state import StageStarted, read_state
from tui.widgets.training.lesson_rows import LessonRows
from tui.widgets.training.log import TrainingLog

pytestmark = pytest.mark.usefixtures("shared_base_answers")

QUICK = {"memory": {"dense": False}, "night": {"enabled": False}, "ui": {"hints": False}}
HOSTILE = "[@click=app.quit]Who\x1b]52;c;eA==\x07 is\x1b[2J \u202eit?[/]"


@pytest.fixture
def quick(home: Home) -> Settings:
    return read_settings(home, {**QUICK, "sampling": {"temperature": 0.0, "max_tokens": 60}})


async def opened(seat: Seat, *keys: str) -> TrainingScreen:
    await seat.hits(*(keys or ("ctrl+t",)))
    await seat.until(lambda: isinstance(seat.app.screen, TrainingScreen))
    screen = seat.app.screen
    assert isinstance(screen, TrainingScreen)
    await seat.until(screen._follower.ready.is_set)
    return screen


async def back(seat: Seat) -> None:
    await seat.hits("escape")
    await seat.until(lambda: seat.app.screen is seat.screen)


@pytest.mark.slow
@pytest.mark.parametrize("abort", [False, True], ids=["stop", "abort"])
async def test_a_training_of_the_chat_is_shown_and_stopped_on_the_screen(
    home: Home, quick: Settings, abort: bool
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("What is the capital of Zubrowka?")
        await seat.types("/diff error => The capital of Zubrowka is Lutz.")
        await seat.sees("Saved as error")
        await seat.types("/train")
        await seat.sees("◆ training", "Ctrl+T details")
        screen = await opened(seat)
        await seat.sees(
            "◆ training", "▸ updating weights", "1 lesson, ", "What is the capital of Zubrowka?"
        )
        await seat.sees("step", "tok/s")
        key, other = ("a", "s") if abort else ("s", "a")
        await seat.hits("enter")
        await seat.sees("The report is available when the training ends.")
        await seat.hits(other, "escape", key)
        await seat.sees(f"? {key} yes · Esc no")
        assert screen._follower.view.alive
        assert not seat.screen.panel.stopping
        await seat.hits(key)
        if abort:
            await seat.sees(
                "✗ failed", "✗ updating weights", "The training was stopped; nothing was"
            )
        else:
            await seat.sees("correct in the evaluation")
        await seat.sees("No training is running. Start one with /train", "Enter open report")
        await seat.hits(key)
        await seat.sees("No training is running.")
        await seat.hits("r")
        await seat.until(lambda: isinstance(seat.app.screen, ReportScreen))
        await seat.sees("Report 1 of 1", "✗ Failed" if abort else "step")
        await seat.hits("escape")
        await seat.until(lambda: seat.app.screen is screen)
        await back(seat)
        if abort:
            await seat.sees("The training was stopped. The current adapter is unchanged.")
            assert seat.screen.chat.marks.waiting() == 1
        else:
            await seat.sees("See /report for details")
        assert not seat.screen.panel.display
        assert seat.screen.composer.has_focus


@pytest.mark.slow
async def test_a_chat_opened_during_a_training_of_another_process_shows_all_of_it(
    home: Home, tiny: Path
) -> None:
    settings = read_settings(home, {**QUICK, "model": {"path": str(tiny), "threads": 1}})
    with Journal(home.journal) as journal:
        asked = difference("Who?", "Lutz.", at=now() - timedelta(days=5))
        journal.differences.add(asked)
    with Night(home.data, tiny) as process:
        process.ask(now=now().isoformat(), events=True, settings={"training": {"max_steps": 60}})
        assert next(line for line in process.lines() if line.get("event", {}).get("step") == 12)
        process.process.send_signal(signal.SIGSTOP)  # paused until the chat was opened and closed
        for _time in range(2):  # closing the chat loses no progress
            async with sitting(home, settings) as seat:
                screen = await opened(seat)
                await seat.sees(
                    "✓ composing lessons",
                    "▸ updating weights",
                    "/60",
                    "Who?",
                    "Esc back, still runs",
                )
                tried = screen._follower.view.state.trials[0]
                assert len(tried.loss.points) == tried.step >= 12
                assert screen._follower.view.state.log[0].item == StageStarted("compose", 1)
                await back(seat)
        async with sitting(home, settings) as seat:
            await seat.types("/training")
            screen = await opened(seat, "tab")
            beside = RunFollower(home, seat.screen.chat.journal)  # as another chat's screen looks
            beside.begin()
            await seat.sees("▸ updating weights")
            await seat.until(lambda: seat.screen.training.trainings.running)
            process.process.send_signal(signal.SIGCONT)
            await seat.sees("✓ published", "started", "took", "Enter open report")
            await until(lambda: beside.view.state.ended and not beside.view.alive)
            beside.close()
            assert beside.view.state == screen._follower.view.state
            assert beside.view.state == read_state(beside.view.folder or Path())
            await back(seat)
            await seat.sees("See /report for details")


async def test_a_training_of_another_process_is_stopped(home: Home, quick: Settings) -> None:
    marked(home)
    folder = recorded(home, 22, alive=True)
    async with sitting(home, quick) as seat:
        await opened(seat)
        await seat.sees("attempt 2 of 2 · rate 0.006 · starter", "▸ updating weights")
        await seat.hits("s", "s")
        await seat.sees("stopping; evaluating the best…")
        assert (folder / CONTROL).read_text() == "stop"
        await back(seat)
        await opened(seat)  # every screen shows it, no matter which one requested it
        await seat.sees("stopping; evaluating the best…")
        (folder / CONTROL).write_text("abort")
        await seat.sees("aborting; discarding everything…")
        end = {**EVENTS[-1], "verdict": "failed", "sentence": "It was stopped."}
        with (folder / "events.jsonl").open("a") as events:
            events.write(json.dumps(end) + "\n")
        await seat.sees("✗ failed", "It was stopped.", "Nightly training is off")
        await back(seat)
        await seat.until(lambda: not seat.screen.panel.display)


async def test_the_last_training_is_shown_and_opens_its_report(home: Home, quick: Settings) -> None:
    marked(home)
    trained(home, "20260101T000000")
    trained(home, NAME)
    recorded(home)
    (home.runs / "20990101T000000").mkdir()  # one without events
    async with sitting(home, quick, size=(120, 36)) as seat:
        screen = await opened(seat)
        await seat.sees("✓ published", "took 0:27", "Learned 7 of 7 lessons from 6 differences")
        await seat.sees("attempt", "Who wrote the song of the harbour? → Mirra Odell wrote it.")
        await seat.sees("7 correct in the evaluation", "(name the mistake)")
        assert screen._trial is not None
        assert screen._trial.number == 2
        await seat.hits("left_square_bracket", "left_square_bracket")
        await seat.sees("0 correct in the evaluation", "step 90 of 90")
        await seat.hits("right_square_bracket", "right_square_bracket")
        await seat.sees("7 correct in the evaluation")
        await seat.hits("enter")
        await seat.until(lambda: isinstance(seat.app.screen, ReportScreen))
        await seat.sees("Report 1 of 2", f"run {NAME}")


async def test_an_interrupted_training_is_shown_as_interrupted(home: Home, quick: Settings) -> None:
    recorded(home, 9)
    async with sitting(home, quick) as seat:
        await opened(seat)
        await seat.sees(
            "✗ interrupted", "ended without a report", "✗ updating weights", "– exporting"
        )
        await seat.sees("(since forgotten)")
        await seat.hits("enter")
        await seat.sees("This run was interrupted and has no report.")
        await back(seat)


async def test_before_the_first_training_the_screen_says_how_to_start_one(home: Home) -> None:
    settings = read_settings(home, {**QUICK, "night": {"enabled": True}})
    async with sitting(home, settings) as seat:
        await opened(seat)
        await seat.sees(
            "No training has run yet.", "Start one with /train. Next nightly training: 03:15"
        )
        await seat.hits("s", "tab", "enter", "left_square_bracket")
        await seat.sees("No training has run yet.")
        await seat.hits("ctrl+t")  # the key that opened it
        await seat.until(lambda: seat.app.screen is seat.screen)


async def test_the_log_follows_its_end_until_the_user_scrolls(home: Home, quick: Settings) -> None:
    marked(home)
    folder = recorded(home, 20, alive=True)
    async with sitting(home, quick) as seat:
        screen = await opened(seat)
        log, lessons = screen.query_one(TrainingLog), screen.query_one(LessonRows)
        await seat.until(lambda: log.max_scroll_y > 0 and log.scroll_offset.y == log.max_scroll_y)
        assert lessons.has_focus
        await seat.hits("tab")
        await seat.until(lambda: log.has_focus and log.size.height > lessons.size.height)
        await seat.hits("home")
        await seat.sees("composing lessons from 6 differences")
        before = len(log._items)
        with (folder / "events.jsonl").open("a") as events:
            for event in EVENTS:
                if 20 < event["at"] < 26:
                    events.write(json.dumps(event) + "\n")
        await seat.until(lambda: len(log._items) > before)
        await seat.pilot.pause()
        assert log.scroll_offset.y == 0  # the scroll position is kept
        await seat.hits("end")
        await seat.until(lambda: log.scroll_offset.y == log.max_scroll_y)


@pytest.mark.parametrize("size", [(40, 12), (64, 20), (80, 24), (200, 50)])
async def test_the_screen_fits_every_size(
    home: Home, quick: Settings, size: tuple[int, int]
) -> None:
    marked(home)
    recorded(home, 22, alive=True)
    async with sitting(home, quick, size=size) as seat:
        await opened(seat)
        await seat.sees("◆ training", "7 lessons", "s stop", "Esc back", "16/2")
        assert all(len(line) <= size[0] for line in seat.shown.splitlines())


async def test_text_of_other_programs_is_shown_and_has_no_effect(
    home: Home, quick: Settings
) -> None:
    marked(home, asked=HOSTILE, sounds=HOSTILE)
    folder = recorded(home, model=HOSTILE)
    end = {**EVENTS[-1], "verdict": HOSTILE, "sentence": HOSTILE}
    text = (folder / "events.jsonl").read_text().splitlines()[:-1]
    lessons = [[HOSTILE, HOSTILE, 5], *EVENTS[27]["lessons"][1:]] if "lessons" in EVENTS[27] else []
    odd = {"phase": "gate", "passed": False, "sentence": HOSTILE, "at": EVENTS[-1]["at"]}
    told = {"phase": "beside", "lessons": lessons, "at": 0.5}
    (folder / "events.jsonl").write_text(
        "\n".join([*text[:20], json.dumps(told), *text[20:], json.dumps(odd), json.dumps(end)])
    )
    async with sitting(home, quick, size=(140, 40)) as seat:
        await opened(seat)
        await seat.sees("[@click=app.quit]Who is it?[/]")
        assert not any(sign in seat.shown for sign in "\x1b\x07\u202e")
        assert seat.app.is_running


async def test_the_keys_of_the_screen_can_be_remapped(home: Home) -> None:
    recorded(home, 22, alive=True)
    keys = {"train_stop": "x", "training": "f9", "train_pane": "l"}
    async with sitting(home, read_settings(home, {**QUICK, "keys": keys})) as seat:
        screen = await opened(seat, "f9")
        await seat.sees("x stop and keep · a abort", "l log")
        await seat.hits("s", "x")
        await seat.sees("? x yes · Esc no")
        await seat.hits("escape", "l")
        await seat.until(lambda: screen.query_one(TrainingLog).has_focus)
        await seat.hits("f9")
        await seat.until(lambda: seat.app.screen is seat.screen)


def test_the_recorded_differences_are_those_of_the_recorded_run() -> None:
    known = {identity for identity, *_ in ASKED}
    told = next(event["lessons"] for event in EVENTS if event["phase"] == "beside")
    assert {lesson[0] for lesson in told} == known
