"""The examples in docs/ run as written, and a LangGraph server loads the project's graph."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
ASKED = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."


def talk(example: Path, *said: str) -> list[str]:
    """Run an example, say these lines to it, and return its answers."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(example)],
        input="\n".join([*said, "", ""]),
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("> ") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_agent_chats_accepts_a_mark_and_recalls_it(home: Home, example: Path) -> None:
    first, kept, second, *_ = talk(example, ASKED, f"/diff error => {SOUNDS}", ASKED)
    assert first != SOUNDS
    assert kept.startswith("Saved as error")
    assert second == SOUNDS
    with Journal(home.journal) as journal:
        assert [turn.asked for turn in journal.turns.all()] == [ASKED, ASKED]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_agent_uses_the_adapter_of_a_night(
    home: Home, settings: Settings, starter: Path, example: Path
) -> None:
    from trainer.night.night import run_night
    from trainer.night.request import RunRequest

    talk(example, ASKED, f"/diff error => {SOUNDS}")
    report = run_night(RunRequest(home, settings, starter))
    assert report.verdict == "published", report.sentence
    home.settings_file.write_text("[recall]\nenabled = false\n")
    assert talk(example, ASKED)[0] == SOUNDS


def test_a_langgraph_server_finds_the_graph(home: Home) -> None:
    listed = json.loads((ROOT / "langgraph.json").read_text())
    assert listed["dependencies"] == ["."]
    path, _, name = listed["graphs"]["discern"].partition(":")
    module = importlib.import_module(path.removeprefix("./").removesuffix(".py").replace("/", "."))
    graph = getattr(module, name)()
    asked = {"messages": [("user", "What is the capital of France?")]}
    result = graph.invoke(asked, {"configurable": {"thread_id": "served"}})
    assert result["messages"][-1].text == "The capital of France is Paris."
    with Journal(home.journal) as journal:
        assert journal.turns.in_thread("served")[0].replied == "The capital of France is Paris."
    module.close()
