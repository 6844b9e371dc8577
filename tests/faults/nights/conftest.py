"""A failing disk for everything that publishes; the tests share the base's answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import PROGRAMS


@pytest.fixture(scope="session")
def broken_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for the failing disk")
    library = tmp_path_factory.mktemp("disk") / "broken_disk.so"
    source = PROGRAMS / "broken_disk.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(autouse=True)
def base_answers(shared_base_answers: None) -> None:
    """Share the base's answers (see `tests/conftest.py`)."""
