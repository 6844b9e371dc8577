"""Times as a person says them, by the clock on the wall: today 14:02, yesterday, 12 Mar 2025."""

from __future__ import annotations

from datetime import datetime

from memory.language import tr


def moment(at: datetime, today: datetime | None = None) -> str:
    """Return when something was said; `today` is now unless a test says otherwise."""
    now = (today or datetime.now(at.tzinfo)).astimezone()
    local = at.astimezone()
    days = (now.date() - local.date()).days
    if days == 0:
        return tr("today {time}", time=f"{local:%H:%M}")
    if days == 1:
        return tr("yesterday")
    day = f"{local.day} {_month(local.month)}"
    return day if local.year == now.year else f"{day} {local.year}"


def _month(number: int) -> str:
    names = (
        tr("Jan"), tr("Feb"), tr("Mar"), tr("Apr"), tr("May"), tr("Jun"),
        tr("Jul"), tr("Aug"), tr("Sep"), tr("Oct"), tr("Nov"), tr("Dec"),
    )  # fmt: skip
    return names[number - 1]
