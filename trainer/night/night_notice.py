"""Notice of the latest night: one line in the first chat afterwards, shown once per outcome.

The journal records which outcome was shown. A night that had nothing to do, or that the user stopped,
has no notice. A desktop notification says the same if `[night] notify` is set. Errors here never make
a night or the start of a chat fail.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from datetime import date

from memory.i18n.interface_language import render, tr
from memory.journal.journal import Journal
from memory.journal.tables.nights import Night
from memory.sentence import NOTHING

TOLD = "night told"
_OUTCOMES = ("published", "rejected", "failed")
_APPLESCRIPT = (
    "on run words\ndisplay notification (item 2 of words) with title (item 1 of words)\nend"
)


def take_notice(journal: Journal, today: date | None = None) -> str | None:
    """Return the line about the latest night with an outcome; None if it was shown before.

    From now on it counts as shown.
    """
    night = _latest(journal)
    if night is None or journal.facts.get(TOLD) == _name(night):
        return None
    mark_shown(journal)
    today = today or date.today()
    last, day = night.day == today.isoformat(), night.day
    said = " ".join(render(night.outcome or NOTHING).split()).rstrip(".")
    if night.state == "failed" and last:
        told_so = tr("Last night's training failed: {said}.", said=said)
    elif night.state == "failed":
        told_so = tr("The training on the night of {day} failed: {said}.", day=day, said=said)
    elif last:
        told_so = tr("Last night's training finished. {said}.", said=said)
    else:
        told_so = tr("The training on the night of {day} finished. {said}.", day=day, said=said)
    return told_so + " " + tr("See /report for details.")


def mark_shown(journal: Journal) -> None:
    """Record that the latest outcome was shown, as by a chat that was open at the time."""
    if (night := _latest(journal)) is not None:
        journal.facts.set(TOLD, _name(night))


def notify(sentence: str) -> bool:
    """Send a desktop notification; return whether that worked."""
    if sys.platform == "darwin":
        call = ["osascript", "-e", _APPLESCRIPT, "Discern", sentence]
    else:
        call = ["notify-send", "--app-name=Discern", "--", "Discern", sentence]
    if shutil.which(call[0]) is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(call, capture_output=True, timeout=5, check=False)
        return done.returncode == 0
    return False


def _latest(journal: Journal) -> Night | None:
    return next((night for night in journal.nights.latest(8) if night.state in _OUTCOMES), None)


def _name(night: Night) -> str:
    return f"{night.day} {night.state} {night.attempt}"
