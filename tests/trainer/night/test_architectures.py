"""A complete night on every architecture: chat, mark, train, gate, publish, chat again."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.chat.chat import Chat
from agent.chat.graph import Finished
from agent.llama.gguf.architectures import ARCHITECTURES
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.architectures import SMALL, write_like
from tests.support.values import quick_settings
from trainer.night.night import run_night
from trainer.night.request import RunRequest


def reply(chat: Chat, text: str) -> str:
    *_rest, last = chat.say(text)
    assert isinstance(last, Finished)
    return last.turn.replied


def settings_for(home: Home, path: Path) -> Settings:
    return quick_settings(
        home,
        model={"path": str(path), "threads": 1},
        sampling={"max_tokens": 8, "temperature": 0.0},
        training={"max_steps": 4, "learning_rates": [2e-2], "frozen_layers": 0.0, "targets":
                  ["q_proj", "o_proj", "up_proj", "in_proj_qkv", "in_proj_z", "out_proj"]},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_mark_is_trained_and_the_adapter_used_by_the_open_chat(
    home: Home, tmp_path: Path, architecture: str
) -> None:
    path = write_like(tmp_path / "m.gguf", SMALL[architecture], context=2048)
    settings = settings_for(home, path)
    with Chat.open(home, settings, dense=False) as chat:
        before = reply(chat, "Who?")
        chat.marks.add(MarkRequest("error", kind="fact", sounds="Lutz."))
        report = run_night(RunRequest(home, settings, path))
        assert report.verdict == "published"
        assert report.fates
        assert chat.update_adapter() is not None
        chat.recalling = False
        after = reply(chat, "Who?")
        assert chat.adapter is not None
        assert chat.adapter.id == report.adapter
        assert after != before
