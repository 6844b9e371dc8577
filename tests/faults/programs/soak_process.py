"""Simulate many days for the soak test: marks, nights, rollbacks, forgetting.

    python -m tests.faults.programs.soak_process HOME MODEL RECORDED FIRST LAST

There is a mark every third day, the oldest one is forgotten for every mark beyond the fifth, and every
seventeenth day rolls back the current adapter. The nights are real except for the training step, which
copies the adapter RECORDED (`[trainer] launcher = "command"`). One line per day has the resources of
the process. Started again, it continues with the unfinished day.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memory.errors import AdapterError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import difference, quick_settings
from trainer.adapters import publish
from trainer.night.once_per_date import run_if_due
from trainer.night.request import RunRequest

FIRST = datetime(2026, 1, 1, 4, tzinfo=UTC)
KEPT_MARKS = 5


def moment(day: int) -> datetime:
    """The morning of a day, after its night was due."""
    return (FIRST + timedelta(days=day)).astimezone().replace(hour=4)


def mark(home: Home, day: int) -> None:
    """Mark something on the day before this night, and forget what is old; once."""
    with Journal(home.journal) as journal:
        known = journal.differences.all()
        if all(item.asked != f"Who came on day {day}?" for item in known):
            at = moment(day) - timedelta(hours=9)
            journal.differences.add(difference(f"Who came on day {day}?", f"Guest {day}.", at=at))
        for item in journal.differences.all()[:-KEPT_MARKS]:
            journal.forgetting.forget(item)


def live(home: Home, settings: Settings, model: Path, day: int) -> None:
    if day % 3 == 0:
        mark(home, day)
    run_if_due(RunRequest(home, settings, model), now=moment(day))
    if day % 17 == 0:
        with contextlib.suppress(AdapterError):
            publish.rollback(home)


def held() -> dict[str, int]:
    """What this process holds: descriptors, memory in KiB, children, files in the temporary folder."""
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    tasks = Path("/proc/self/task").glob("*/children")
    return {
        "open": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "kib": int(resident.split()[1]),
        "children": sum(len(task.read_text().split()) for task in tasks),
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
        "temporary": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def main() -> None:
    home, model, recorded = Home.at(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    bring = f": {{job}}; cp -r {shlex.quote(str(recorded))} {{result}}"
    settings = quick_settings(
        home, trainer={"launcher": "command", "command": bring}, night={"keep": 4}
    )
    for day in range(int(sys.argv[4]), int(sys.argv[5])):
        live(home, settings, model, day)
        sys.stdout.write(json.dumps({"day": day, **held()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
