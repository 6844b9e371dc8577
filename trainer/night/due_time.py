"""Compute when a night is due: wall-clock time, daylight saving changes, quiet hours, battery.

Pure except for `on_battery`, which reads the power status of the system. All arithmetic uses the wall
clock of the time zone and is converted to a moment afterwards: a time skipped by a change of clocks is
moved after the gap, and of a repeated time the first one counts. Nothing is written.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from memory.errors import FileError
from memory.files.bounded_read import SMALL, read_text
from memory.settings.settings import Settings

SUPPLIES = Path("/sys/class/power_supply")


def due_moment(settings: Settings, moment: datetime) -> datetime:
    """Return the local time at which a night was last due before `moment`.

    `moment` is aware. Its zone is used if it has the rules of the zone (`ZoneInfo`), otherwise the zone
    of the machine.
    """
    wall = _wall(moment)
    night = _at(settings, wall)
    return _moment(night if night <= wall else night - timedelta(days=1), moment)


def next_run(settings: Settings, now: datetime | None = None) -> datetime | None:
    """Return the local time of the next night; None if nights are disabled."""
    if not settings.night.enabled:
        return None
    moment = now or datetime.now()
    wall = _wall(moment)
    night = _at(settings, wall)
    return _moment(night if night > wall else night + timedelta(days=1), moment)


def night_of(settings: Settings, moment: datetime) -> date:
    """Return the local date of the night that was last due before `moment`."""
    wall = _wall(moment)
    night = _at(settings, wall)
    return (night if night <= wall else night - timedelta(days=1)).date()


def is_quiet(settings: Settings, moment: datetime) -> bool:
    """Whether `moment` is within the quiet hours, in which no night starts."""
    if not settings.night.quiet:
        return False
    begins, ends = settings.night.quiet.split("-")
    clock = _wall(moment).strftime("%H:%M")
    if begins <= ends:
        return begins <= clock < ends
    return clock >= begins or clock < ends


def on_battery(supplies: Path = SUPPLIES) -> bool:
    """Whether the machine runs on battery; False if unknown.

    Source: the power_supply class of Linux, and `pmset` on macOS.
    """
    if sys.platform == "darwin":
        try:
            done = subprocess.run(
                ["pmset", "-g", "batt"], capture_output=True, text=True, timeout=5, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return "Battery Power" in done.stdout
    discharging = False
    try:
        for supply in supplies.iterdir():
            kind = _word(supply / "type")
            if kind in ("Mains", "USB") and _word(supply / "online") == "1":
                return False
            # Other devices have batteries too; only the machine's own counts.
            own = kind == "Battery" and _word(supply / "scope") != "Device"
            discharging |= own and _word(supply / "status") == "Discharging"
    except OSError:
        return False
    return discharging


def _word(path: Path) -> str:
    try:
        return read_text(path, SMALL).strip()
    except (OSError, FileError):
        return ""


def _wall(moment: datetime) -> datetime:
    """Return the wall-clock time without a zone."""
    known = moment if isinstance(moment.tzinfo, ZoneInfo) else moment.astimezone()
    return known.replace(tzinfo=None, fold=0)


def _at(settings: Settings, wall: datetime) -> datetime:
    hour, minute = map(int, settings.night.time.split(":"))
    return wall.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _moment(wall: datetime, like: datetime) -> datetime:
    """Return the moment at which the clock shows `wall`; after the gap if it never does."""
    if isinstance(like.tzinfo, ZoneInfo):
        zone = like.tzinfo
        return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return wall.astimezone(UTC).astimezone()
