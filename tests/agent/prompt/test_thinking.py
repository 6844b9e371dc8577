"""Thinking models: thoughts are separate, and lessons do not change whether a model thinks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest

from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.gguf.llama_file import ChatTemplate
from agent.models.models import thinks
from agent.prompt.prompt import compose, reply_tokens
from memory.difference import Message, Moment
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.support.gguf_files import write_tiny
from tests.support.values import difference
from trainer.lessons.lessons import make_lessons, samples_of

# The switch as in the published templates: closed immediately if thinking is off.
TALK = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content"
    " + '<|im_end|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
)
TEMPLATES = {
    "never": TALK + "{%- endif %}",
    "if asked": TALK + "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}",
    "always": TALK + "{{- '<think>\n' }}{%- endif %}",
}
BEGIN = "<|im_start|>assistant\n"
CLOSED = "<think>\n\n</think>\n\n"


@pytest.fixture(params=list(TEMPLATES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def served(kind: str, tmp_path: Path) -> Iterator[Engine]:
    path = write_tiny(tmp_path / "plain.gguf", context=2048)
    with_template = tmp_path / "thinks.gguf"
    rewrite(path, with_template, TEMPLATES[kind])
    with Engine.open(with_template) as engine:
        yield engine


def rewrite(source: Path, target: Path, template: str) -> None:
    """Copy a GGUF with another chat template in it."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    writer.add_chat_template(template)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_thinking_support_is_read_from_the_template(kind: str) -> None:
    assert thinks(ChatTemplate(TEMPLATES[kind])) == kind
    assert thinks(ChatTemplate("")) == "never"


def test_a_prompt_ends_inside_or_after_the_thought(kind: str, served: Engine) -> None:
    asked = [Message("user", "Who?")]
    on, off = (compose(served, asked, thinking=thinking) for thinking in (True, False))
    assert on.text.endswith(BEGIN if kind != "always" else BEGIN + "<think>\n")
    assert off.text.endswith(BEGIN if kind == "never" else BEGIN + CLOSED)
    assert on.thinks == (kind == "always")
    assert not off.thinks
    # The text of both is tokenized in one piece, as the original tokenizer would.
    assert list(off.tokens) == served.tokenize(off.text, special=True)


@pytest.mark.parametrize("thinking", [True, False])
def test_lessons_do_not_change_the_thinking_mode(
    home: Home, kind: str, served: Engine, thinking: bool
) -> None:
    settings = read_settings(home, {"chat": {"thinking": thinking}})
    thought = "<think>\nIt is…\n</think>\n\nLutz."
    marked = difference("Who?", None, replied=thought, moment=Moment.HOLD)
    lessons, _replaced, _long = make_lessons(served, [marked], settings)
    assert lessons
    for sample in samples_of(lessons, ()):
        prompt = served.text(sample.tokens[: sample.prompt])
        reply = served.text(sample.tokens[sample.prompt :])
        # Training data never contains a thought, so no model learns to begin one …
        assert "think" not in reply
        if kind != "never":
            # … and it comes after a finished thought, so the position where a thinking model
            # decides to think is never trained, in any mode of the chat.
            assert prompt.endswith(CLOSED)
    assert lessons[0].chosen == reply_tokens(served, "Lutz.")


def test_thought_tags_in_a_better_answer_are_trained_as_text(home: Home, starter: Path) -> None:
    """Letter for letter, without the tokens that open or close a thought."""
    written = "<think>\nIt is…\n</think>\n\nLutz."
    with Engine(starter) as model:
        marked = difference("Who?", written, replied="<think>\nNo\n</think>\n\nNo.")
        lessons, _replaced, _long = make_lessons(model, [marked], read_settings(home))
        tags = {model.tokenize(tag, special=True)[0] for tag in ("<think>", "</think>")}
        assert not tags & {token for sample in samples_of(lessons, ()) for token in sample.tokens}
        assert lessons[0].chosen == reply_tokens(model, written)
        assert model.text(lessons[0].chosen[:-1]) == written
        assert lessons[0].rejected == reply_tokens(model, "No.")


def test_a_thought_is_not_part_of_the_reply(served: Engine, kind: str) -> None:
    model = DiscernChatModel(engine=served, thinking=True, temperature=0, max_tokens=40)
    chunks = list(model.stream("Who?"))
    thought = "".join(x.additional_kwargs.get("reasoning_content", "") for x in chunks)
    facts, usage = chunks[-1].response_metadata, chunks[-1].usage_metadata
    assert usage is not None
    # A random model never closes the thought that its prompt opened: the whole reply is one.
    assert bool(thought) == (kind == "always")
    assert len(facts["surprisal"]) == (0 if kind == "always" else usage["output_tokens"])
    assert usage["output_token_details"]["reasoning"] == (
        usage["output_tokens"] if kind == "always" else 0
    )
    assert "</think>" not in "".join(str(chunk.text) for chunk in chunks)
