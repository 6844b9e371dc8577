"""`discern demo`: the full loop with the starter model, without fakes."""

from __future__ import annotations

import json

import pytest

from memory.settings.paths import Home
from tui.cli.main import run


@pytest.mark.slow  # two trainings of the starter; one is in the default run (test_acceptance.py)
def test_the_demo_succeeds_at_every_step_and_leaves_the_home_alone(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["demo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["held"]
    names = [step["step"] for step in told["steps"]]
    assert names.count("the reply is right, from recall") == names.count("learned") == 3
    assert names.count("learned, also in other words") == 3
    for where in ("in the same thread", "in a new thread"):
        assert names.count(f"the reply is right {where}") == 6
    assert not home.journal.exists()
