"""The full loop at a real size: Qwen3-0.6B's shape and Qwen's vocabulary.

Weights are random, so replies are meaningless; the test checks that all parts work together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from agent.chat.chat import Chat
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.gguf.header import read_header
from agent.llama.gguf.llama_file import ChatTemplate
from agent.models.compatibility import check_compatibility
from agent.models.models import thinks
from agent.plugin.adapter_watch import current
from agent.prompt.prompt import compose
from agent.prompt.template_renderer import compiled
from agent.prompt.tool_calls import as_messages, tools_text
from memory.difference import Message
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import ModelSettings
from tests.support.real_shape import PARAMETERS, source_package, template, write_real_shape
from tests.support.values import quick_settings
from trainer.adapters.adapter_export import ExportRequest, export
from trainer.evaluate import merge_eval
from trainer.lessons import lessons
from trainer.lessons.anchors import base_answers, choose_unchanged_prompts
from trainer.night.night import run_night
from trainer.night.request import RunRequest
from trainer.report.report import Report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def model(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_real_shape(package, tmp_path_factory.mktemp("model") / "qwen3-0.6b-random.gguf")


@pytest.mark.parametrize("name", ["Qwen-Qwen3-0.6B", "Qwen-Qwen2.5-7B-Instruct"])
def test_tools_are_rendered_as_by_the_original_template(package: Path, name: str) -> None:
    offered = [
        {"function": {"description": "Ä <b>", "name": "f", "parameters": {}}, "type": "function"}
    ]
    call: Any = {"name": "f", "args": {"a": 1, "b": "x"}, "id": "1", "type": "tool_call"}
    talk = [
        SystemMessage("Be brief."), HumanMessage("1?"), AIMessage("So:", tool_calls=[call, call]),
        ToolMessage("2", tool_call_id="1"), ToolMessage("3", tool_call_id="1"),
    ]  # fmt: skip
    theirs = compiled(template(package, name)).render(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1?"},
            {"role": "assistant", "content": "So:", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1, "b": "x"}}}] * 2},
            {"role": "tool", "content": "2"},
            {"role": "tool", "content": "3"},
        ],
        tools=offered, add_generation_prompt=True, enable_thinking=True,
    )  # fmt: skip
    ours = compiled(template(package, name)).render(
        messages=[
            {"role": message.role, "content": message.content}
            for message in as_messages(talk, [tools_text(offered)])
        ],
        add_generation_prompt=True,
        enable_thinking=True,
    )
    assert ours == theirs


def test_original_templates_tell_whether_their_models_think(package: Path, model: Path) -> None:
    assert thinks(ChatTemplate(template(package, "Qwen-Qwen3-0.6B"))) == "if asked"
    assert thinks(ChatTemplate(template(package, "Qwen-Qwen2.5-7B-Instruct"))) == "never"
    assert thinks(ChatTemplate(template(package, "Qwen-QwQ-32B"))) == "always"
    with Engine.open(model, ModelSettings(path="", context=512, threads=1, gpu_layers=0)) as engine:
        off = compose(engine, [Message("user", "Who?")], thinking=False)
        assert off.text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
        opened, closed = (engine.tokenize(x)[0] for x in ("<think>", "</think>"))
        assert (opened, closed) == (151667, 151668)
        assert opened in off.tokens
        assert closed in off.tokens


def test_the_header_is_read_at_its_real_size(home: Home, model: Path) -> None:
    header = read_header(model)
    assert header.parameters == PARAMETERS
    found = check_compatibility(model, quick_settings(home), free=16 << 30, gpu=0)
    assert found.serves
    assert found.trains


def test_a_tool_call_can_be_forced_with_the_real_vocabulary(model: Path) -> None:
    @tool
    def count(number: int) -> int:
        """Count."""
        return number

    with Engine.open(
        model, ModelSettings(path="", context=1024, threads=1, gpu_layers=0)
    ) as engine:
        served = DiscernChatModel(engine=engine, temperature=0, max_tokens=60, longest_text=8)
        said = served.bind_tools([count], tool_choice="count").invoke("Hello!")
        assert [call["name"] for call in said.tool_calls] == ["count"]


def test_the_whole_loop_at_real_size(
    home: Home, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"FEWEST_ANCHORS": 3, "MEASURED_ANCHORS": 3, "NEAR_TRAINED": (2, 2), "NEAR_MEASURED": 1}
    for name, value in {**few, "FEWEST_MEASURED": 2}.items():
        monkeypatch.setattr(choose_unchanged_prompts, name, value)
    monkeypatch.setattr(lessons, "WORDINGS", (2, 3))
    monkeypatch.setattr(base_answers, "LONGEST", 4)
    monkeypatch.setattr(merge_eval, "UNRELATED", 2)
    monkeypatch.setattr(merge_eval, "LONGEST", 8)
    settings = quick_settings(
        home,
        model={"path": str(model), "context": 1024, "threads": 1},
        sampling={"max_tokens": 6},
        training={"max_steps": 2, "targets": ["q_proj", "v_proj"], "anchors_per_lesson": 1},
        memory={"dense": False},
    )
    with Chat.open(home, settings) as chat:
        list(chat.say("What is the capital of Zubrowka?"))
        [turn] = chat.thread.turns()
        assert turn.replied
        assert turn.surprisal
        chat.marks.add(MarkRequest("error", sounds="Lutz."))
        report = run_night(RunRequest(home, settings, model))
        assert report.verdict == "published", report.sentence
        said = chat.update_adapter()
        assert said is not None
        assert "is now in use" in str(said)
        list(chat.say("And of France?"))
        assert chat.thread.turns()[-1].adapter == report.adapter
    assert (
        Report.from_json((Path(report.run) / "report.json").read_text()).adapter == report.adapter
    )
    adapter = current(home)
    assert adapter is not None
    out = tmp_path / "merged.gguf"
    taken = export(
        home, settings, ExportRequest(adapter, out, form="merged", model=model, quant="q4_k_m")
    )
    assert taken.survived is not None
    assert taken.survived.kl >= 0
    assert out.stat().st_size < 0.7 * model.stat().st_size
