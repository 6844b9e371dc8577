"""The scheduler checks periodically, and the ledger decides; reports are read back unchanged."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, tzinfo
from queue import Queue

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers import base
from apscheduler.triggers import interval

from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.night import night_scheduler
from trainer.night.due_time import next_run
from trainer.night.night_scheduler import NightListeners
from trainer.night.request import RunRequest
from trainer.report.report import Change, Fate, Measure, Point, Report


def test_the_next_night_is_tonight_or_tomorrow(home: Home) -> None:
    chosen = quick_settings(home, night={"time": "03:15"})
    before, after = datetime(2026, 3, 10, 3, 14), datetime(2026, 3, 10, 3, 15)
    tonight, tomorrow = next_run(chosen, before), next_run(chosen, after)
    assert tonight is not None
    assert tomorrow is not None
    assert (tonight.day, tonight.hour, tonight.minute) == (10, 3, 15)
    assert tomorrow.day == 11
    assert next_run(quick_settings(home, night={"enabled": False}), before) is None


def test_the_scheduler_runs_due_nights_and_passes_errors_on(home: Home) -> None:
    old = datetime(2026, 3, 10, 12).astimezone()
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz.", at=old))
    heard: list[DiscernError] = []
    done = threading.Event()

    def on_error(error: DiscernError) -> None:
        heard.append(error)
        done.set()

    scheduler = night_scheduler.background(
        RunRequest(home, quick_settings(home), home.data / "none.gguf"),
        NightListeners(on_error=on_error),
    )
    try:
        assert done.wait(20)
    finally:
        scheduler.shutdown(wait=True)
    assert "none.gguf" in str(heard[0])
    with Journal(home.journal) as journal:
        assert journal.nights.latest()[0].state == "failed"


def test_checks_continue_when_the_clock_is_set_back_an_hour(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = timedelta()

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wall:
            return super().now(tz) - back

    # APScheduler asks the time of day in each of these modules.
    for module in (base, interval, night_scheduler):
        monkeypatch.setattr(module, "datetime", Wall)
    monkeypatch.setattr(night_scheduler, "TICK_SECONDS", 0.05)
    ticks: Queue[object] = Queue()
    scheduler = night_scheduler.background(
        RunRequest(home, quick_settings(home, night={"enabled": False}))
    )
    scheduler.add_listener(ticks.put, EVENT_JOB_EXECUTED)
    try:
        for _ in range(2):
            ticks.get(timeout=20)
        back = timedelta(hours=1)
        for _ in range(5):
            ticks.get(timeout=20)
        back = timedelta()
        ticks.get(timeout=20)
    finally:
        scheduler.shutdown(wait=True)
    assert not any(thread.name == "discern-ticks" for thread in _alive())


def _alive() -> list[threading.Thread]:
    for thread in threading.enumerate():
        if thread.name == "discern-ticks":
            thread.join(20)
    return [thread for thread in threading.enumerate() if thread.is_alive()]


def test_a_report_survives_json() -> None:
    report = Report(
        verdict="published",
        sentence=Sentence("Learned 1 of 1 lessons from 1 difference; the rest stayed as it was."),
        started=datetime(2026, 3, 10, 3, 15).astimezone(),
        seconds=12.5,
        model="base.gguf",
        adapter="0" * 16,
        fates=(Fate("d", "contrast", "Who?" * 40, "Lutz.", "No.", "Lutz.", "learnt"),),
        measures=(
            Measure("lessons", 1.0, 0.9, True, Sentence("lessons reproduced: 100% (at least 90%)")),
        ),
        changes=(Change("Hi", "Hello.", "Hey."),),
        curve=tuple(Point(step, 4 / step, step / 100) for step in range(1, 101)),
        phases=(("train", 9.0),),
    )
    assert Report.from_json(report.to_json()) == report
