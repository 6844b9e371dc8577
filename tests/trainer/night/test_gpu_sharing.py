"""One GPU for a chat and a night: shared, lent, or left to the chat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.llama.model_leases import GpuLease
from memory.errors import TrainingError
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.events import Event, PlacementChosen
from trainer.night import gpu_sharing
from trainer.night.request import Cancellation
from trainer.night.run import Run, make_run_folder

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "chat", "night", "way"),
    [
        (60, 5, 12, "beside"),
        (12, 5, 12, "instead"),  # nothing would be left
        (10, 5, 12, "instead"),
        (7, 5, 12, "processor"),
        (0, 0, 12, "processor"),
    ],
)
def test_the_gpu_is_assigned_by_what_fits(free: int, chat: int, night: int, way: str) -> None:
    found = gpu_sharing.plan(free=free * GIB, chat=chat * GIB, night=night * GIB)
    assert found.way == way
    assert found.sentence
    assert "\n" not in str(found.sentence)


def test_a_small_model_needs_little_more_memory_than_its_weights() -> None:
    assert 3 * GIB < gpu_sharing.night_bytes(600_000_000, 600 << 20) < 4 * GIB


def test_free_memory_is_read_from_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "nvidia-smi"  # a stand-in for the driver's tool
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    for script, found in (
        ("echo 79000; echo 10", 79000 << 20),
        ("echo '[N/A]'", None),
        ("echo no driver >&2; exit 9", None),
    ):
        stand_in.write_text(f"#!/bin/sh\n{script}\n")
        stand_in.chmod(0o755)
        assert gpu_sharing.free_bytes() == found
    stand_in.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_sharing.free_bytes() is None


def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Replace the driver's tool with one that reports this many MiB as free."""
    stand_in = tmp_path / "nvidia-smi"
    stand_in.write_text(f"#!/bin/sh\necho {free}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_a_night_requests_the_gpu_and_gets_it_when_the_chats_have_unloaded(
    home: Home, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, 1000)
    chats = [GpuLease(home, GIB), GpuLease(home, GIB)]
    heard: list[Event] = []

    def leave(event: Event) -> None:
        heard.append(event)
        for chat in chats:
            chat.release()

    settings = quick_settings(home)
    run = Run(make_run_folder(home), leave, Cancellation())
    assert gpu_sharing.make_room(home, settings, tiny, run) == settings
    run.close_events()
    assert [event.way for event in heard if isinstance(event, PlacementChosen)] == ["instead"]
    assert len(heard) == 1


@pytest.mark.parametrize("held", [0, GIB // 4, 4 * GIB])
def test_without_free_gpu_memory_training_runs_on_the_cpu(
    home: Home, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    driver(tmp_path, monkeypatch, 200)
    monkeypatch.setattr(gpu_sharing, "MAX_TYPING_WAIT_SECONDS", 0.0)  # the user keeps typing
    chat = GpuLease(home, held)
    run = Run(make_run_folder(home), lambda event: None, Cancellation())
    found = gpu_sharing.make_room(home, quick_settings(home), tiny, run)
    run.close_events()
    chat.release()
    assert found.trainer.card == "processor"
    assert found.model.gpu_layers == 0


def test_a_night_that_waits_for_the_gpu_can_be_cancelled(home: Home, tiny: Path) -> None:
    settings = quick_settings(home, trainer={"card": "instead"})
    chat = GpuLease(home, 1)
    run = Run(make_run_folder(home), lambda event: run.cancel.set(), Cancellation())
    with pytest.raises(TrainingError, match="stopped"):
        gpu_sharing.make_room(home, settings, tiny, run)
    run.close_events()
    chat.release()


@pytest.mark.parametrize("card", ["auto", "beside"])
def test_without_a_gpu_or_the_setting_no_chat_is_asked_to_unload(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch, card: str
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    chat = GpuLease(home, GIB)
    run = Run(make_run_folder(home), lambda event: pytest.fail(str(event)), Cancellation())
    settings = quick_settings(home, trainer={"card": card})
    assert gpu_sharing.make_room(home, settings, tiny, run) == settings
    chat.release()
