"""Text about a session: its time, and the effect of deleting it."""

from __future__ import annotations

from datetime import datetime

from memory.i18n.interface_language import tr, trn


def moment(at: datetime, today: datetime | None = None) -> str:
    """Return a short date or time; `today` is for tests."""
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


def deletion_summary(name: str, turns: int, marks: int) -> str:
    """Return the effect of deleting a session: what is removed and what is kept."""
    goes = trn(
        "{name}: {n} turn will be deleted permanently",
        "{name}: {n} turns will be deleted permanently",
        turns,
        name=name,
    )
    if not marks:
        return tr("{goes}; there are no marks in it.", goes=goes)
    stays = trn(
        "{n} mark stays in memory with its text",
        "{n} marks stay in memory with their text",
        marks,
    )
    return f"{goes}; {stays}."
