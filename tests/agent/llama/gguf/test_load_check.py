"""Files that cannot be served are refused with one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.errors import ModelError


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no model at"),
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04 a zip", "is not a GGUF file"),
        (b"GGUF\x03\x00\x00\x00\x01", "cannot read the header"),
    ],
)
def test_a_file_that_is_not_a_model_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        Engine.open(path)


def test_opening_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(
        ModelError, match=r"model .*: it is a named pipe, not a file; check its path$"
    ):
        Engine.open(tmp_path / "pipe.gguf")


def test_a_truncated_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:-20_000])
    with pytest.raises(ModelError, match=r"cannot load the model .*cut\.gguf"):
        Engine.open(cut)


def test_another_architecture_is_refused(tiny: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(tiny.read_bytes().replace(b"qwen3", b"zzzz9"))
    with pytest.raises(ModelError, match=r"the model .* has the architecture 'zzzz9'"):
        Engine.open(foreign)
