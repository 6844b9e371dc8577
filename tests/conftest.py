"""Fixtures of all tests: a home for each test, and tiny models that are written once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from memory.i18n import interface_language
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.gguf_files import write_tiny
from tests.support.hub import hub as hub
from tests.support.warm_training import Warm


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for caches that the processes of one test run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    for name in ("judged", "anchors"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A new home that everything in the test uses, so that the user's own is never touched.

    The tests of one run share the results of load checks, as the chats of one home do.
    """
    monkeypatch.setenv("DISCERN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LANGUAGE", "en")
    interface_language.use("en")
    monkeypatch.setenv("DISCERN_NICE", "0")  # tests wait for children, so do not lower priorities
    made = Home.locate().prepare()
    (made.cache / "judged").symlink_to(shared / "judged")
    return made


@pytest.fixture
def shared_base_answers(home: Home, shared: Path) -> None:
    """Share the base model's answers to anchors between the tests of one run that train.

    Computing them takes most of the time of a short night; other tests check that.
    """
    (home.cache / "anchors").symlink_to(shared / "anchors")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Restore the signal handlers that a test, or a program run within it, has changed."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A process that has imported the training code and is forked for each training."""
    process = Warm(tmp_path_factory.mktemp("warm"))
    yield process
    process.close()


@pytest.fixture(autouse=True)
def quick_training_children(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork training children instead of starting new Python processes."""
    monkeypatch.setattr("trainer.launch.worker_client.subprocess", warm.subprocess)


@pytest.fixture
def settings(home: Home) -> Settings:
    """The default settings."""
    return read_settings(home)


@pytest.fixture
def memory(home: Home, settings: Settings) -> Iterator[Memory]:
    """The memory of the test's home, with keyword search only."""
    with Memory.open(home, settings, dense=False) as memory:
        yield memory


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Qwen3 over bytes."""
    return write_tiny(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def engine(tiny: Path) -> Iterator[Engine]:
    """The tiny model, loaded."""
    with Engine.open(tiny) as engine:
        yield engine


@pytest.fixture(scope="session")
def starter() -> Path:
    """The included starter model."""
    return STARTER


def pytest_configure(config: pytest.Config) -> None:
    """Reset ignored signals, because child processes would inherit that.

    A run without the slow tests leaves their snapshots unused; in all other runs that is an error.
    """
    if config.option.markexpr == "not slow":
        config.option.warn_unused_snapshots = True
    for number, handler in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_unconfigure() -> None:
    """Close files that llama-cpp-python opens at import and never closes."""
    if utils := sys.modules.get("llama_cpp._utils"):
        utils.outnull_file.close()
        utils.errnull_file.close()
