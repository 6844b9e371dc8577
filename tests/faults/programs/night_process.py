"""Run nights for the tests: reads one time per line and answers with the result.

    python -m tests.faults.programs.night_process HOME MODEL [counting]

With `counting`, a run only writes a line and takes a moment, so that the ledger can be tested many
times; otherwise the run is real.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from memory.difference import now
from memory.errors import DiscernError
from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.event_json import message_to_json
from trainer.night import once_per_date
from trainer.night.request import RunRequest
from trainer.report.report import Report


def count(request: RunRequest, **_options: Any) -> Report:
    """Stand in for the night's run: one line in a file, opened to append."""
    with (request.home.data / "counted").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(0.02)
    return Report("published", Sentence("Learnt."), now(), 0.0, "tiny")


def say(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> None:
    home, model = Home.at(Path(sys.argv[1])), Path(sys.argv[2])
    if "counting" in sys.argv:
        setattr(once_per_date, "run_night", count)  # noqa: B010 - it is not exported from there
    say(ready=os.getpid())
    for line in sys.stdin:
        asked = json.loads(line)
        settings = quick_settings(home, **asked.get("settings", {}))

        try:
            found = once_per_date.run_if_due(
                RunRequest(home, settings, model),
                now=datetime.fromisoformat(asked["now"]),
                on_event=(lambda event: say(event=message_to_json(event)))
                if asked.get("events")
                else lambda event: None,
            )
            answer: dict[str, str | None] = {"verdict": found.verdict if found else None}
        except DiscernError as error:
            answer = {"error": type(error).__name__, "sentence": str(error)}
        say(answer=answer)


if __name__ == "__main__":
    main()
