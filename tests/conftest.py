"""What all tests share: a home of their own, and tiny models made once a run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from agent.models.serving import STARTER
from memory.i18n import translation
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.gguf_files import write_tiny
from tests.support.hub import hub as hub
from tests.support.warm_training import Warm


@pytest.fixture(autouse=True)
def home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """A fresh home that everything in the test uses; the user's own is never touched.

    What was judged of a model file is shared by the tests of one run, as by the chats of one home.
    """
    monkeypatch.setenv("DISCERN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LANGUAGE", "en")
    translation.use("en")
    monkeypatch.setenv("DISCERN_NICE", "0")  # tests wait for the children that else stand back
    made = Home.locate().prepare()
    judged = tmp_path_factory.getbasetemp() / "judged"
    judged.mkdir(exist_ok=True)
    (made.cache / "judged").symlink_to(judged)
    return made


@pytest.fixture
def shared_base_answers(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Share the base's answers to anchors between the tests of one run that train.

    Asking the base takes most of the time of a short night, and is tested by itself.
    """
    shared = tmp_path_factory.getbasetemp() / "anchors"
    shared.mkdir(exist_ok=True)
    (home.cache / "anchors").symlink_to(shared)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What a test, or a program run within it, ignores is heeded again after it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """A process that has imported what trains, to be forked."""
    process = Warm(tmp_path_factory.mktemp("warm"))
    yield process
    process.close()


@pytest.fixture(autouse=True)
def quick_training_children(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the training children of this process."""
    monkeypatch.setattr("trainer.launch.worker_client.subprocess", warm.subprocess)


@pytest.fixture
def settings(home: Home) -> Settings:
    """The shipped settings."""
    return read_settings(home)


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
    """The model that ships with Discern."""
    return STARTER


def pytest_configure() -> None:
    """Heed the signals that whoever started the tests ignores: a child inherits what is ignored."""
    for number, handler in (
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_unconfigure() -> None:
    """Close what llama-cpp-python opens at import and leaves to the interpreter's end."""
    if utils := sys.modules.get("llama_cpp._utils"):
        utils.outnull_file.close()
        utils.errnull_file.close()
