"""Names of other packages that are not public: each is used in one file and tested with one version.

Before changing a version here, read what changed about the name and test the file that uses it.
"""

from __future__ import annotations

import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("agent", "memory", "trainer", "tui", "tests", "benchmarks")


@pytest.mark.parametrize(
    ("package", "tested", "name", "user"),
    [
        ("huggingface-hub", "2.4.0", "huggingface_hub.file_download", "agent/models/pull.py"),
        (
            "llama-cpp-python",
            "0.3.36",
            "llama_cpp.llama_grammar",
            "agent/llama/sampling_parameters.py",
        ),
        ("llama-cpp-python", "0.3.36", "llama_cpp._utils", "tests/conftest.py"),
    ],
)
def test_a_private_name_is_used_in_one_file_with_the_tested_version(
    package: str, tested: str, name: str, user: str
) -> None:
    assert version(package) == tested
    assert re.search(f'"{package}=={re.escape(tested)}"', (ROOT / "pyproject.toml").read_text())
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    users = [path for path in sources if path != Path(__file__) and name in path.read_text("utf-8")]
    assert users == [ROOT / user]


def test_the_hub_downloads_to_an_open_file_and_resumes() -> None:
    from huggingface_hub.file_download import http_get

    wanted = {"url", "temp_file", "resume_size", "headers", "expected_size", "tqdm_class"}
    assert wanted <= set(inspect.signature(http_get).parameters)


def test_llama_cpp_converts_a_schema_to_a_grammar() -> None:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    assert json_schema_to_gbnf('{"type": "boolean"}').startswith('root ::= ("true" | "false")')
