"""When a night is due: on ordinary days, with clock changes, in quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from memory.errors import SettingsError
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.night.due_time import due_moment, is_quiet, next_run, night_of, on_battery

PARIS, YORK = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York")
# The nights in which the clocks change in 2026: spring forward, autumn back.
CHANGES = [
    (PARIS, datetime(2026, 3, 29)),
    (PARIS, datetime(2026, 10, 25)),
    (YORK, datetime(2026, 3, 8)),
    (YORK, datetime(2026, 11, 1)),
]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("time", ["03:15", "02:30", "01:30", "00:00", "23:59"])
def test_every_date_has_one_night_despite_clock_changes(
    home: Home, zone: ZoneInfo, day: datetime, time: str
) -> None:
    chosen = quick_settings(home, night={"time": time})
    moment = (day - timedelta(days=2)).replace(tzinfo=zone).astimezone(UTC)
    nights = []
    for _minute in range(0, 5 * 24 * 60, 5):
        nights.append(night_of(chosen, moment.astimezone(zone)))
        moment += timedelta(minutes=5)
    dates = sorted(set(nights))
    assert len(dates) in (5, 6)
    assert dates == [dates[0] + timedelta(days=number) for number in range(len(dates))]
    # In autumn, the clock shows the previous night again, but its row in the ledger is closed.
    assert all(max(nights[: i + 1]) - night <= timedelta(days=1) for i, night in enumerate(nights))


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_the_next_night_is_at_most_a_day_away(home: Home, zone: ZoneInfo, day: datetime) -> None:
    chosen = quick_settings(home, night={"time": "02:30"})
    moment = (day - timedelta(hours=20)).replace(tzinfo=zone).astimezone(UTC)
    for _hour in range(48):
        night = next_run(chosen, moment.astimezone(zone))
        assert night is not None
        assert timedelta(hours=-1) <= night.astimezone(UTC) - moment <= timedelta(hours=25)
        moment += timedelta(hours=1)


def test_a_time_skipped_by_daylight_saving_comes_after_the_gap(home: Home) -> None:
    chosen = quick_settings(home, night={"time": "02:30"})
    before = datetime(2026, 3, 29, 1, 59, tzinfo=PARIS)
    after = datetime(2026, 3, 29, 3, 0, tzinfo=PARIS)
    assert night_of(chosen, before) == datetime(2026, 3, 28).date()
    assert night_of(chosen, after) == datetime(2026, 3, 29).date()
    assert due_moment(chosen, after).astimezone(UTC) >= before.astimezone(UTC)


def test_quiet_hours_may_span_midnight(home: Home) -> None:
    day = datetime(2026, 3, 10, tzinfo=PARIS)
    office = quick_settings(home, night={"quiet": "08:00-18:00"})
    evening = quick_settings(home, night={"quiet": "22:00-06:30"})
    assert [is_quiet(office, day.replace(hour=h)) for h in (7, 8, 17, 18)] == [
        False,
        True,
        True,
        False,
    ]
    assert [is_quiet(evening, day.replace(hour=h)) for h in (21, 22, 0, 6, 7)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert not is_quiet(quick_settings(home), day)


@pytest.mark.parametrize("value", ["8-18", "08:00", "24:00-03:00", "08:00-18:00,20:00-21:00"])
def test_invalid_quiet_hours_are_refused_and_named(home: Home, value: str) -> None:
    with pytest.raises(SettingsError, match=r"night\.quiet"):
        quick_settings(home, night={"quiet": value})


def supply(folder: Path, name: str, **words: str) -> None:
    (folder / name).mkdir(parents=True)
    for word, value in words.items():
        (folder / name / word).write_text(f"{value}\n")


def test_only_the_machines_own_battery_counts_and_only_without_mains_power(tmp_path: Path) -> None:
    assert not on_battery(tmp_path / "none")
    desk = tmp_path / "desk"
    supply(desk, "mouse", type="Battery", scope="Device", status="Discharging")
    assert not on_battery(desk)
    laptop = tmp_path / "laptop"
    supply(laptop, "BAT0", type="Battery", status="Discharging")
    supply(laptop, "AC", type="Mains", online="0")
    assert on_battery(laptop)
    (laptop / "AC" / "online").write_text("1\n")
    assert not on_battery(laptop)
