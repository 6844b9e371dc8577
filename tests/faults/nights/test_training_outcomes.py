"""Unusual training data: one clear sentence, and nothing invalid is published."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import read_adapter, read_pointer
from agent.llama.engine import Engine
from memory.difference import Moment, State
from memory.errors import AdapterError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.gguf_files import write_tiny
from tests.support.values import difference, quick_settings
from trainer.adapters.adapter_staleness import entry_of
from trainer.evaluate.compare import side
from trainer.events import Event
from trainer.night.night import run_night
from trainer.night.request import RunRequest
from tui.cli.main import run


def mark(home: Home, *differences: Any) -> None:
    with Journal(home.journal) as journal:
        for item in differences:
            journal.differences.add(item)


def current(home: Home) -> str | None:
    return read_pointer(home.adapters).current


def another(tiny: Path, folder: Path) -> Path:
    """The same model with a byte of its weights changed."""
    path = folder / tiny.name
    data = bytearray(tiny.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    return path


def test_a_training_without_lessons_is_refused(
    home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--model", str(tiny)]) == 0
    assert "no differences are marked yet" in capsys.readouterr().err
    assert current(home) is None
    assert not home.runs.exists()


def test_a_manual_training_without_lessons_is_refused(home: Home, tiny: Path) -> None:
    from trainer.night.request import Practice

    with pytest.raises(NothingToTrainError, match="no differences are marked yet"):
        run_night(RunRequest(home, quick_settings(home), tiny, practice=Practice(2, 2)))


@pytest.mark.slow
def test_one_lesson_is_enough(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    assert report.verdict == "published"
    assert [str(row.name) for row in report.beside] == [
        "base",
        "recall",
        "this adapter",
        "as in the chat",
    ]


@pytest.mark.slow
def test_of_conflicting_lessons_the_newest_is_trained_and_the_rest_reported(
    home: Home, tiny: Path
) -> None:
    marked = [difference("Who?", reply) for reply in ("Lutz.", "Dale.", "Nobody.")]
    mark(home, *marked)
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    fates = {fate.difference: fate.fate for fate in report.fates}
    assert fates[marked[0].id].startswith("superseded by")
    assert fates[marked[1].id].startswith("superseded by")
    assert not fates[marked[2].id].startswith("superseded")
    assert len(report.notes) >= 2
    assert sum("same question" in str(note) for note in report.notes) == 2


def test_a_loss_that_is_not_a_number_is_reported_in_one_sentence(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    wild = quick_settings(home, training={"learning_rates": [1.0], "alpha": 1e36})
    with pytest.raises((TrainingError, AdapterError)) as caught:
        run_night(RunRequest(home, wild, tiny))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert current(home) is None
    with Journal(home.journal) as journal:
        assert journal.differences.all()[0].state is State.WAITING


@pytest.mark.slow
def test_a_learning_rate_that_diverges_does_not_end_the_run(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    # The scale is so large that a step of the first rate overflows and one of the second does not.
    rates = {"learning_rates": [1.0, 1e-19], "alpha": 1e17}
    report = run_night(RunRequest(home, quick_settings(home, training=rates), tiny))
    assert [one.reason == "failed" for one in report.attempts] == [True, False]
    assert "\n" not in str(report.attempts[0].sentence)
    assert report.learning_rate == 1e-19


@pytest.mark.slow
def test_a_changed_base_is_reported_and_a_new_adapter_trained(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    mark(home, difference("Who?", "Lutz."))
    first = run_night(RunRequest(home, quick_settings(home), tiny))
    other = another(tiny, tmp_path)
    report = run_night(RunRequest(home, quick_settings(home), other))
    assert report.verdict == "published"
    assert report.adapter != first.adapter
    assert any(
        "was trained for" in str(note) and "the model is now" in str(note) for note in report.notes
    )
    assert [str(row.name) for row in report.beside] == [
        "base",
        "recall",
        "this adapter",
        "as in the chat",
    ]
    manifest = read_adapter(home.adapters, report.adapter or "").manifest
    assert manifest.base == entry_of(other, home)


def test_a_base_that_changes_during_training_publishes_nothing(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    mark(home, difference("Who?", "Lutz."))
    served = tmp_path / "served.gguf"
    shutil.copyfile(tiny, served)

    def on_event(event: Event) -> None:
        if event.phase == "publish":
            fresh = another(tiny, tmp_path)
            fresh.replace(served)

    with pytest.raises(TrainingError, match="changed during the training"):
        run_night(RunRequest(home, quick_settings(home), served), on_event=on_event)
    assert current(home) is None


def test_an_adapter_for_another_base_is_refused_everywhere(
    home: Home, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(home, difference("Who?", "Lutz."))
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    assert report.adapter is not None
    other = write_tiny(tmp_path / "other.gguf", width=32)
    with pytest.raises(AdapterError, match="was trained for"):
        side(home, report.adapter[:8], entry_of(other, home))
    assert run(["adapters", "off"]) == 0
    for words in (["adapters", "use", report.adapter], ["compare", "base", report.adapter]):
        assert run([*words, "--model", str(other)]) == 2
        assert "was trained for" in capsys.readouterr().err
    assert current(home) is None
    assert run(["adapters", "use", report.adapter, "--model", str(tiny)]) == 0


@pytest.mark.slow
def test_an_edit_is_trained_again_and_superseded_marks_are_not(home: Home, tiny: Path) -> None:
    first, second = difference("Who?", "Lutz."), difference("Where?", "Here.")
    mark(home, first, second)
    settings = quick_settings(home)
    run_night(RunRequest(home, settings, tiny))
    with pytest.raises(NothingToTrainError, match="nothing has changed"):
        run_night(RunRequest(home, settings, tiny))
    from memory.memory import Memory

    with Memory.open(home, settings, dense=False) as memory:
        memory.edit(first.id, sounds="Dale.")
    report = run_night(RunRequest(home, settings, tiny))
    assert report.fates[0].expected == "Dale."
    with Memory.open(home, settings, dense=False) as memory:
        memory.supersede(second.id, first.id)
    report = run_night(RunRequest(home, settings, tiny))
    assert [fate.difference for fate in report.fates if fate.trained] == [first.id]
    known = read_adapter(home.adapters, report.adapter or "").manifest.fingerprints
    with Journal(home.journal) as journal:
        assert known == {first.id: journal.differences.get(first.id).fingerprint}


@pytest.mark.slow
def test_overlong_lessons_are_named_and_the_others_trained(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."), difference("Long?", "word " * 900))
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    assert [fate.fate for fate in report.fates][-1] == "left out"
    assert "a lesson holds at most" in str(report.fates[-1].cause)
    with pytest.raises(NothingToTrainError, match="nothing has changed"):
        run_night(RunRequest(home, quick_settings(home), tiny))


def test_only_overlong_lessons_are_reported_in_one_sentence(home: Home, tiny: Path) -> None:
    mark(home, difference("Long?", "word " * 900))
    with pytest.raises(TrainingError, match=r"no lesson can be made from the differences: .* has"):
        run_night(RunRequest(home, quick_settings(home), tiny))
    assert current(home) is None


@pytest.mark.slow
def test_a_single_hold_can_be_trained(home: Home, tiny: Path) -> None:
    held = replace(difference("Who?", None, replied="Lutz."), moment=Moment.HOLD)
    mark(home, held)
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    assert report.fates[0].kind == "hold"
    assert report.fates[0].expected == "Lutz."
    with Engine.open(tiny) as engine:
        engine.set_adapter(read_adapter(home.adapters, report.adapter or "").gguf)
