"""When a night is due: wall-clock time, days on which clocks change, quiet hours, battery.

Pure but for `on_battery`, which reads what the system says of its power. All arithmetic is done on the
wall clock of the zone, as a person reads it, and turned into a moment afterwards: a time that a
spring night skips comes after the gap, one that an autumn night has twice is the first of the two.
Nothing is written.
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
    """Return the local time at which a night was last due, seen from `moment`.

    `moment` is aware; its zone is taken where it knows the zone's rules (`ZoneInfo`), else the
    machine's own.
    """
    wall = _wall(moment)
    night = _at(settings, wall)
    return _moment(night if night <= wall else night - timedelta(days=1), moment)


def next_run(settings: Settings, now: datetime | None = None) -> datetime | None:
    """Return the local time of the next night; None when nights are off."""
    if not settings.night.enabled:
        return None
    moment = now or datetime.now()
    wall = _wall(moment)
    night = _at(settings, wall)
    return _moment(night if night > wall else night + timedelta(days=1), moment)


def night_of(settings: Settings, moment: datetime) -> date:
    """Return the local date whose night was last due, seen from `moment`."""
    wall = _wall(moment)
    night = _at(settings, wall)
    return (night if night <= wall else night - timedelta(days=1)).date()


def is_quiet(settings: Settings, moment: datetime) -> bool:
    """Whether `moment` lies in the hours in which no night may begin."""
    if not settings.night.quiet:
        return False
    begins, ends = settings.night.quiet.split("-")
    clock = _wall(moment).strftime("%H:%M")
    if begins <= ends:
        return begins <= clock < ends
    return clock >= begins or clock < ends


def on_battery(supplies: Path = SUPPLIES) -> bool:
    """Whether the machine runs on its battery; False where that cannot be known.

    Source: Linux's power_supply class; on macOS what `pmset` says.
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
            # A mouse has a battery too; only the machine's own decides.
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
    """Return what the clock on the wall shows, without a zone."""
    known = moment if isinstance(moment.tzinfo, ZoneInfo) else moment.astimezone()
    return known.replace(tzinfo=None, fold=0)


def _at(settings: Settings, wall: datetime) -> datetime:
    hour, minute = map(int, settings.night.time.split(":"))
    return wall.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _moment(wall: datetime, like: datetime) -> datetime:
    """Return the moment at which the clock shows `wall`; one after the gap if it never does."""
    if isinstance(like.tzinfo, ZoneInfo):
        zone = like.tzinfo
        return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return wall.astimezone(UTC).astimezone()
