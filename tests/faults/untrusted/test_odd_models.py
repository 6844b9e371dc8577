"""Unusual model files: every entry point gives the same error, from a child that may crash or hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from agent.chat.chat import Chat
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.gguf.header import read_header
from agent.llama.gguf.load_check import LoadResult, judge
from agent.llama.sampling_parameters import Sampling
from agent.models.served_model import served_model, with_model
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.errors import ModelError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.settings.settings_file import write_setting
from tests.support.gguf_files import write_tiny
from tests.support.odd_models import HARMLESS, NAMES, REFUSED_TEMPLATES, TALK, ends_at_once, refused
from tests.support.processes import ROOT
from trainer import loop
from trainer.evaluate.torch_parity import divergence, require_agreement
from tui.cli.main import run
from tui.setup import setup

pytestmark = pytest.mark.usefixtures("kept")

VERBS = {
    "ask": ["ask", "hi", "--model"],
    "train": ["train", "--model"],
    "lessons": ["lessons", "--model"],
    "compare": ["compare", "base", "base+recall", "--prompt", "hi", "--model"],
    "model use": ["model", "use"],
    "model info": ["model", "info"],
}


def deployed(home: Home, _settings: Settings, path: Path) -> None:
    from agent.plugin import deploy

    write_setting(home, "model", "path", str(path))
    deploy.close()
    try:
        deploy.graph()
    finally:
        deploy.close()


ENTRIES: dict[str, Callable[[Home, Settings, Path], Any]] = {
    "judge": lambda _home, _settings, path: judge(path),
    "Engine.open": lambda _home, _settings, path: Engine.open(path),
    "chat": lambda home, settings, path: Chat.open(home, with_model(settings, str(path))),
    "setup": lambda _home, settings, path: setup.check_model(path, settings),
    "plugin": lambda _home, _settings, path: DiscernChatModel.from_gguf(path),
    "deploy": deployed,
    "loop": lambda home, settings, path: loop.compose(home, settings, path),
}


def sentence_of(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    capsys.readouterr()
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    [line] = [line for line in err.splitlines() if line.startswith("discern: ")]
    return line.removeprefix("discern: ")


@pytest.mark.parametrize("name", NAMES)
def test_an_unusable_file_is_refused_within_seconds_with_one_sentence(
    tmp_path: Path, name: str
) -> None:
    write, said = refused(tmp_path)[name]
    path = write()
    with pytest.raises(ModelError) as caught:
        judge(path)
    sentence = str(caught.value)
    assert said in sentence
    assert "\n" not in sentence
    assert "; " in sentence
    assert os.fsencode(path).decode("utf-8", "backslashreplace") in sentence


def agree(path: Path, home: Home, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError) as caught:
        judge(path)
    sentence = str(caught.value)
    for name, words in VERBS.items():
        assert sentence_of(capsys, [*words, str(path)]) == sentence, name
    for name, enter in ENTRIES.items():
        if name == "deploy" and "not valid UTF-8" in sentence:
            continue  # config.toml cannot contain such a path
        with pytest.raises(ModelError) as again:
            enter(home, settings, path)
        assert str(again.value) == sentence, name
    capsys.readouterr()
    assert run(["doctor", "--json", "--model", str(path)]) == 2
    found = json.loads(capsys.readouterr().out)["findings"]
    [model] = [item for item in found if item["what"] == "model"]
    assert f"{model['text']}; {model['mend']}" == sentence
    with Journal(home.journal) as journal:
        assert len(journal.turns.all()) == len(journal.differences.all()) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a TypeError", marks=pytest.mark.slow),
        "rope.dimension_count",
        "a path that is not UTF-8",
    ],
)
def test_every_entry_point_refuses_a_file_with_the_same_sentence(
    home: Home, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    agree(refused(tmp_path)[name][0](), home, settings, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_point_refuses_every_unusable_file_with_the_same_sentence(
    home: Home, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    agree(refused(tmp_path)[name][0](), home, settings, capsys)


@pytest.mark.parametrize("name", HARMLESS)
def test_an_unusual_but_harmless_template_is_accepted(tmp_path: Path, name: str) -> None:
    path = write_tiny(tmp_path / "model.gguf", template=HARMLESS[name], context=2048)
    with Engine.open(path) as engine:
        prompt = compose(engine, [Message("user", "Hi?")])
    assert prompt.text.endswith("<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n")


def test_templates_get_the_bos_and_eos_tokens_as_text(tmp_path: Path) -> None:
    template = "{{ bos_token }}" + str(HARMLESS["eos_token"])
    path = write_tiny(tmp_path / "model.gguf", template=template)
    vocabulary = read_tokens(path)
    begin = vocabulary.index("<|endoftext|>")
    write_tiny(path, template=template, keys={"tokenizer.ggml.bos_token_id": begin})
    with Engine.open(path) as engine:
        prompt = compose(engine, [Message("user", "Hi?")])
        assert engine.info.template == read_header(path).template
    assert prompt.text.startswith("<|endoftext|><|im_start|>user\nHi?<|im_end|>\n")
    assert prompt.tokens[0] == begin
    assert prompt.tokens.count(begin) == 1


def read_tokens(path: Path) -> list[str]:
    return list(gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"].contents())


def test_an_invalid_token_id_has_no_text(tmp_path: Path) -> None:
    keys: dict[str, Any] = {}
    for keys["tokenizer.ggml.bos_token_id"] in ("first", [1, 2], -1.5, True, 4_000_000):
        path = write_tiny(tmp_path / "model.gguf", template="{{ bos_token }}" + TALK, keys=keys)
        assert read_header(path).template.bos == "", keys
    with Engine.open(path) as engine:
        assert compose(engine, [Message("user", "Hi?")]).text.startswith("<|im_start|>")


def test_a_template_that_loops_in_longer_conversations_is_stopped_in_the_chat(
    tmp_path: Path,
) -> None:
    text = REFUSED_TEMPLATES["a loop in a long talk"][0].replace("> 70", "> 100")
    path = write_tiny(tmp_path / "model.gguf", template=text, context=8192)
    with Engine.open(path) as engine:
        short = [Message("user", "Hi?"), Message("assistant", "Yes."), Message("user", "Hi?")]
        long = [*[Message("user", "a"), Message("assistant", "b")] * 60, Message("user", "c")]
        with pytest.raises(ModelError, match="runs for more than"):
            compose(engine, long)
        assert compose(engine, short).tokens


def test_a_crash_of_llama_cpp_ends_only_the_child_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the header check, llama.cpp gets a head size on which it aborts."""
    path = write_tiny(tmp_path / "model.gguf", keys={"qwen3.rope.dimension_count": 32})
    (tmp_path / "sitecustomize.py").write_text(
        "import agent.llama.gguf.shape_reader as shape\n"
        "whole = shape._Reader.whole\n"
        "shape._Reader.whole = lambda self, key, *rest: whole(\n"
        "    self, key.replace('rope.dimension_count', 'attention.key_length'), *rest)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(ModelError, match=r"crashes the test process \([\w.-]+:\d+: .*n_rot"):
        judge(path)


def test_a_model_is_checked_once_and_the_cache_may_be_deleted(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny(tmp_path / "model.gguf", seed=11)
    asked: list[str] = []
    monkeypatch.setattr("agent.llama.gguf.load_check.ask_child", spy(asked))
    (home.cache / "judged").unlink()
    assert judge(path) == judge(path) == LoadResult(embeds=False)
    assert len(asked) == 1
    for file in home.cache.rglob("*"):
        if file.is_file():
            file.write_text("{damaged")
    assert judge(path) == LoadResult(embeds=False)
    assert len(asked) == 2
    write_tiny(path, seed=12)  # another model at the same place
    assert judge(path) == LoadResult(embeds=False)
    assert len(asked) == 3
    write_tiny(path, keys={"qwen3.block_count": 9})
    with pytest.raises(ModelError, match="cannot load"):
        judge(path)


def spy(asked: list[str]) -> Callable[..., Any]:
    from agent.child_process import ask_child

    def ask(module: str, *arguments: str, seconds: float) -> Any:
        asked.append(module)
        return ask_child(module, *arguments, seconds=seconds)

    return ask


def test_a_cache_that_cannot_be_written_only_costs_time(home: Home, tmp_path: Path) -> None:
    (home.cache / "judged").unlink()
    (home.cache / "judged").write_text("in the way")
    assert judge(write_tiny(tmp_path / "model.gguf")) == LoadResult(embeds=False)


def test_a_model_that_ends_its_turn_immediately_gives_empty_replies(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ends_at_once(tmp_path / "empty.gguf")
    with Engine.open(path) as engine:
        prompt = compose(engine, [Message("user", "hi")]).tokens
        assert engine.generate(prompt, Sampling(temperature=0)).run().text == ""
    write_setting(home, "sampling", "temperature", 0)
    capsys.readouterr()
    assert run(["ask", "hi", "--model", str(path), "--no-recall"]) == 0
    assert capsys.readouterr().out.strip() == ""


@pytest.mark.parametrize(
    "keys",
    [
        {"qwen3.rope.scaling.factor": 4.0},
        {"qwen3.rope.scale_linear": 4.0},
        {"qwen3.rope.scaling.type": "linear", "qwen3.rope.scaling.factor": 2.5},
        {"qwen3.rope.scaling.type": "none", "qwen3.rope.scaling.factor": 4.0},
        {"qwen3.rope.scaling.factor": 0.0},
        {"qwen3.rope.scaling.type": "yarn", "qwen3.rope.scaling.factor": 4.0},
    ],
)
def test_scaled_positions_are_trained_as_they_are_evaluated(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    assert divergence(write_tiny(tmp_path / "model.gguf", keys=keys)) < 0.01


@pytest.mark.slow
def test_torch_and_llama_cpp_are_compared_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that is read incorrectly (stretched) is detected by its results."""
    path = write_tiny(tmp_path / "model.gguf", seed=13, scale=2.0)
    (tmp_path / "sitecustomize.py").write_text(
        "import agent.llama.gguf.shape_reader as shape\n"
        "shape._Reader.scaling = lambda self: ('linear', 4.0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(ModelError, match="give different results"):
        require_agreement(path)
    monkeypatch.undo()
    require_agreement(path)


def test_chatting_with_an_embedding_model_names_the_right_command(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "embed.gguf", pooling=3)
    assert judge(path) == LoadResult(embeds=True)
    with pytest.raises(ModelError, match="discern model use"):
        Engine.open(path)


def test_the_template_renderer_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import os, agent.prompt.template_renderer as t\n"
        f"t.render(t.ChatTemplate({TALK!r}), [{{'role': 'user', 'content': 'x'}}], thinking=False)\n"
        "print(t._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == -9
    child = Path(f"/proc/{done.stdout.strip()}/cmdline")
    for _ in range(200):
        if not child.exists() or b"template_renderer" not in child.read_bytes():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError(f"{child} still exists")


def test_templates_get_the_functions_that_transformers_provides() -> None:
    from transformers.utils.chat_template_utils import _compile_jinja_template

    from agent.prompt.template_renderer import compiled

    ours, theirs = compiled("").environment, _compile_jinja_template("").environment
    assert set(theirs.globals) <= set(ours.globals)
    assert set(theirs.filters) <= set(ours.filters)
    assert set(theirs.tests) <= set(ours.tests)
    tags = {tag for each in ours.extensions.values() for tag in each.tags}
    assert {tag for each in theirs.extensions.values() for tag in each.tags} <= tags
    for text in ("{{ {'b': 'ä<', 'a': [1]} | tojson }}", "{{ [1] | tojson(indent=1) }}",
                 "{{ 'ä' | tojson(ensure_ascii=True) }}", "{% generation %} x {% endgeneration %}",
                 "{% set n = namespace(x=1) %}{% generation %}{% set n.x = 2 %}{% endgeneration %}"
                 "{{ n.x }}"):  # fmt: skip
        assert compiled(text).render() == _compile_jinja_template(text).render(), text


def test_the_starter_passes_the_load_check(starter: Path, settings: Settings) -> None:
    assert served_model(settings) == starter
    require_agreement(starter)
