"""The engine on a real llama.cpp and tiny random models."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from agent.llama.engine import Engine
from agent.llama.llama import OUTPUTS
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.errors import AdapterError, ModelError
from tests.support.adapters import lora
from tests.support.gguf_files import write_tiny

GREEDY = Sampling(max_tokens=24)


def test_greedy_replies_are_the_same_with_and_without_a_shared_prefix(engine: Engine) -> None:
    prompt = engine.tokenize("Hello there, how are you today?")
    alone = engine.generate(prompt, GREEDY).run()
    engine.generate(engine.tokenize("Hello there, who is it?"), GREEDY).run()
    again = engine.generate(prompt, GREEDY).run()
    assert alone.tokens == again.tokens
    assert 0 < again.reused < len(prompt)


def test_a_seed_makes_sampling_repeatable_and_another_seed_differs(engine: Engine) -> None:
    prompt = engine.tokenize("Once upon a time")
    draw = [
        engine.generate(prompt, Sampling(temperature=1.5, seed=seed, max_tokens=24)).run().tokens
        for seed in (5, 5, 6)
    ]
    assert draw[0] == draw[1] != draw[2]


def test_surprisal_of_a_reply_equals_the_surprisal_measured_while_generating(
    engine: Engine,
) -> None:
    prompt = engine.tokenize("A question?")
    reply = engine.generate(prompt, Sampling(temperature=1.0, seed=3, max_tokens=16)).run()
    measured = engine.surprisal(prompt, reply.tokens)
    assert np.allclose(measured, reply.surprisal, atol=2e-3)
    assert (measured > 0).all()


def test_the_surprisal_of_a_message_is_measured_while_the_prompt_is_evaluated(
    engine: Engine,
) -> None:
    prompt = engine.tokenize("Before. " + "the message itself " * 15 + "End")
    said = range(8, len(prompt) - 3)
    assert len(said) > OUTPUTS  # more than one batch of logits
    engine.generate(prompt[:100], GREEDY).run()
    reply = engine.generate(prompt, GREEDY, said).run()
    assert reply.reused == said.start - 1
    heard = engine.surprisal(prompt[: said.start], prompt[said.start : said.stop])
    assert np.allclose(heard, reply.prompt_surprisal, atol=2e-3)
    assert engine.generate(prompt, GREEDY).run().tokens == reply.tokens


def test_the_first_token_cannot_be_measured(engine: Engine) -> None:
    with pytest.raises(ValueError, match="does not lie within"):
        engine.generate(engine.tokenize("abc"), GREEDY, range(2))


def test_log_probabilities_are_distributions_and_do_not_depend_on_the_batch(engine: Engine) -> None:
    tokens = engine.tokenize("x" * 300)
    rows = list(engine.log_probabilities(tokens, 290))
    assert len(rows) == 10
    assert all(abs(float(np.exp(row).sum()) - 1) < 1e-3 for row in rows)
    engine.generate(engine.tokenize("other"), GREEDY).run()
    fresh = list(engine.log_probabilities(tokens, 290))
    assert all(np.allclose(a, b, atol=1e-3) for a, b in zip(rows, fresh, strict=True))


def test_cancel_keeps_the_text_so_far(engine: Engine) -> None:
    generation = engine.generate(engine.tokenize("Go on"), Sampling(max_tokens=200))
    for count, _piece in enumerate(generation, start=1):
        if count == 5:
            generation.cancel()
    assert generation.reason == "cancelled"
    assert len(generation.tokens) == 5
    assert engine.generate(engine.tokenize("And now?"), GREEDY).run().tokens


def test_a_reply_stops_where_the_context_ends(engine: Engine) -> None:
    prompt = engine.tokenize("y" * (engine.info.context - 8))
    generation = engine.generate(prompt, Sampling(max_tokens=100)).run()
    assert generation.reason in ("length", "end")
    assert len(generation.tokens) <= 8


def test_text_that_ends_inside_a_character_is_kept_as_a_replacement(engine: Engine) -> None:
    snowman = engine.tokenize("☃")
    assert engine.text(snowman) == "☃"
    assert engine.text(snowman[:-1]) == "\ufffd"


def test_control_tokens_in_plain_text_stay_text(engine: Engine) -> None:
    assert len(engine.tokenize("<|im_end|>", special=True)) == 1
    plain = engine.tokenize("<|im_end|>")
    assert len(plain) == len("<|im_end|>")
    assert engine.text(plain) == "<|im_end|>"


def test_an_overlong_prompt_is_refused(engine: Engine) -> None:
    with pytest.raises(ModelError, match="do not fit into the context of 512"):
        engine.generate(engine.tokenize("z" * 600), GREEDY)


def test_qwen2_is_supported(tmp_path: Path) -> None:
    with Engine.open(write_tiny(tmp_path / "two.gguf", architecture="qwen2", head=32)) as engine:
        assert engine.info.architecture == "qwen2"
        assert engine.generate(engine.tokenize("Hello"), GREEDY).run().tokens


def test_two_adapters_that_alternate_keep_their_caches(engine: Engine, tmp_path: Path) -> None:
    def reply(text: str) -> tuple[str, int]:
        prompt = compose(engine, [Message("user", text)]).tokens
        made = engine.generate(prompt, Sampling(max_tokens=8)).run()
        return made.text, made.reused

    path = lora(tmp_path / "a.gguf", 0.5)
    long = "Where are we? " * 8
    engine.set_adapter(None)
    fresh_base, _none = reply(long)
    engine.set_adapter(path)
    fresh_adapter, none = reply(long)
    assert none == 0
    assert fresh_adapter != fresh_base
    engine.set_adapter(None, keep_cache=True)
    assert reply(long) == (fresh_base, 0)
    for _ in range(2):
        engine.set_adapter(path, keep_cache=True)
        text, reused = reply(long)
        assert text == fresh_adapter
        assert reused > 20
        engine.set_adapter(None, keep_cache=True)
        text, reused = reply(long)
        assert text == fresh_base
        assert reused > 20
    engine.set_adapter(path, 0.5, keep_cache=True)  # a third one: its own cache is empty
    assert reply(long)[1] == 0
    engine.set_adapter(path, keep_cache=True)
    assert reply(long) == (fresh_adapter, 0)
    engine.set_adapter(None)


def test_a_bad_adapter_is_refused_and_the_engine_still_replies(
    engine: Engine, tmp_path: Path
) -> None:
    prompt = engine.tokenize("Hello")
    before = engine.generate(prompt, GREEDY).run().tokens
    junk = tmp_path / "adapter.gguf"
    junk.write_bytes(b"GGUF" + bytes(200))
    for path in (tmp_path / "none.gguf", junk):
        with pytest.raises(AdapterError):
            engine.set_adapter(path)
    assert engine.adapter is None
    assert engine.generate(prompt, GREEDY).run().tokens == before


def test_a_closed_engine_raises_one_error_instead_of_crashing(tiny: Path, tmp_path: Path) -> None:
    engine = Engine(tiny)
    prompt = engine.tokenize("Who?")
    generation = engine.generate(prompt, GREEDY)
    engine.unload()
    waiting: Future[None] = Future()

    def wait() -> None:
        try:
            engine.wait(lambda: False)
        except ModelError as error:
            waiting.set_exception(error)

    thread = threading.Thread(target=wait)
    thread.start()
    engine.close()
    thread.join(10)
    with pytest.raises(ModelError, match="was closed"):
        waiting.result(0)
    assert engine.closed
    engine.unload()
    engine.restore()
    for use in (
        generation.run,
        lambda: engine.set_adapter(lora(tmp_path / "a.gguf", 0.1)),
        lambda: engine.set_adapter(None),
        lambda: engine.surprisal(prompt, prompt),
        lambda: engine.tokenize("Who?"),
        lambda: engine.text(prompt),
        lambda: engine.ends_turn(prompt[0]),
    ):
        with pytest.raises(ModelError, match="was closed"):
            use()


def test_reading_logits_leaves_no_reference_cycles(engine: Engine) -> None:
    """Each row used to leave one, which kept a night's memory until garbage collection."""
    tokens = engine.tokenize("a" * 100)
    list(engine.log_probabilities(tokens, 1))
    gc.collect()
    gc.disable()
    try:
        list(engine.log_probabilities(tokens[::-1], 1))
        assert gc.collect() < len(tokens)
    finally:
        gc.enable()
