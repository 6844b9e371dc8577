"""The loop as a library: each step on its own, for marks on another model's replies."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from agent.adapters import list_adapters
from agent.llama.engine import Engine
from agent.plugin.companion import Companion
from memory.difference import State, now
from memory.errors import AdapterError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from tests.trainer.launch.test_launch import there
from trainer import loop
from trainer.events import Event, Trained

pytestmark = pytest.mark.usefixtures("shared_base_answers")


def talk_elsewhere(home: Home) -> None:
    """Record a turn of an agent that uses a remote model, and mark it."""
    with Companion.open(home, dense=False) as companion:
        said = AIMessage("It is London.", response_metadata={"model_name": "far-away-1"})
        companion.record("agent", [HumanMessage("Who?"), said])
        companion.mark("agent", moment="error", sounds="Lutz.")


@pytest.mark.slow
def test_marks_of_a_remote_model_train_an_adapter_for_a_local_one(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    settings = quick_settings(home)
    talk_elsewhere(home)
    assert loop.current(home) is None
    lessons = loop.compose(home, settings, tiny)
    assert lessons.differences[0].model == "far-away-1"
    rejected = [x.rejected for x in lessons.curriculum.lessons if x.rejected]
    events: list[str] = []
    candidate = loop.train(
        lessons, settings, tmp_path / "run", on_event=lambda e: events.append(e.phase)
    )
    assert rejected
    assert "train" in events
    verdict = loop.gate(candidate, settings)
    assert verdict.passed
    adapter = loop.publish(home, candidate, verdict)
    found = loop.current(home)
    assert found is not None
    assert found.id == adapter.id
    assert adapter.manifest.differences == (lessons.differences[0].id,)
    with Engine.open(tiny) as engine:
        used = loop.use_current(engine, home)
        assert used is not None
        assert engine.adapter == (adapter.gguf, adapter.manifest.scale)


@pytest.mark.slow
def test_a_rejected_candidate_or_one_without_its_base_is_not_published(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(tiny.read_bytes())
    talk_elsewhere(home)
    settings = quick_settings(home)
    candidate = loop.train(loop.compose(home, settings, model), settings, tmp_path / "run")
    strict = quick_settings(home, gate={"lessons": 1.0})
    with pytest.raises(AdapterError, match="did not pass"):
        loop.publish(home, candidate, loop.gate(candidate, strict))
    verdict = loop.gate(candidate, settings)
    model.write_bytes(tiny.read_bytes() + b"\0")
    with pytest.raises(TrainingError, match="changed"):
        loop.publish(home, candidate, verdict)
    assert loop.current(home) is None


@pytest.mark.slow
def test_training_runs_where_the_launcher_setting_says(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    talk_elsewhere(home)
    base = shutil.copyfile(tiny, tmp_path / "elsewhere.gguf")
    away = {"launcher": "command", "command": there(tmp_path / "there", base)}
    settings = quick_settings(home, trainer=away)
    events: list[Event] = []
    candidate = loop.train(
        loop.compose(home, settings, tiny), settings, tmp_path / "run", on_event=events.append
    )
    weights = "adapter_model.safetensors"
    trained = (tmp_path / "there" / "out" / weights).read_bytes()
    assert (candidate.folder / weights).read_bytes() == trained
    assert candidate.gguf.is_file()
    assert isinstance(events[-1], Trained)


def test_a_training_result_is_checked_and_the_published_file_loaded_again(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    talk_elsewhere(home)
    settings = quick_settings(home)
    lessons = loop.compose(home, settings, tiny)

    def leave_a_stranger(event: Event) -> None:
        if isinstance(event, Trained):
            (tmp_path / "bad" / "adapter" / "setup.py").write_text("import this")

    with pytest.raises(AdapterError, match=r"unexpected file 'setup\.py'"):
        loop.train(lessons, settings, tmp_path / "bad", on_event=leave_a_stranger)
    candidate = loop.train(lessons, settings, tmp_path / "run")
    verdict = loop.gate(candidate, settings)
    assert verdict.passed
    whole = candidate.gguf.read_bytes()
    candidate.gguf.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AdapterError, match=str(home.adapters)):
        loop.publish(home, candidate, verdict)
    assert loop.current(home) is None
    assert list_adapters(home.adapters) == []


def test_composing_without_lessons_is_refused(home: Home, tiny: Path) -> None:
    with pytest.raises(NothingToTrainError):
        loop.compose(home, quick_settings(home), tiny, differences=[difference("Bare", None)])


def test_nights_run_in_a_program(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz.", at=now() - timedelta(days=5)))
        with loop.nightly(home, quick_settings(home), model=home.data / "none.gguf"):
            until = time.monotonic() + 20
            while [night.state for night in journal.nights.latest()] in ([], ["running"]):
                assert time.monotonic() < until
                time.sleep(0.05)
        [night] = journal.nights.latest()
    assert night.state == "failed"
    assert "none.gguf" in str(night.outcome)


@pytest.mark.slow
def test_what_the_gate_left_out_is_not_among_what_a_published_adapter_learned(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    """As a night does: the scope of the adapter must be the one that was tested."""
    settings = quick_settings(home)
    first, second = difference("Who?", "Lutz."), difference("Where is it?", "In Gand.")
    with Journal(home.journal) as journal:
        for item in (first, second):
            journal.differences.add(item)
    candidate = loop.train(loop.compose(home, settings, tiny), settings, tmp_path / "run")
    verdict = loop.gate(candidate, settings)
    kept = [x.difference != second.id for x in candidate.lessons.curriculum.lessons]
    without = replace(
        verdict,
        left_out=frozenset({second.id}),
        served=verdict.served.where(kept),
        alone=verdict.alone.where(kept),
    )
    manifest = loop.publish(home, candidate, without).manifest
    assert manifest.differences == (first.id,)
    assert manifest.as_asked == ()
    with Journal(home.journal) as journal:
        states = {item.id: item.state for item in journal.differences.all()}
    assert states[first.id] is not State.WAITING
    assert states[second.id] is State.WAITING
    again = loop.publish(home, candidate, replace(without, as_asked=frozenset({second.id})))
    assert again.manifest.as_asked == (second.id,)
