"""A model that is unloaded and restored replies as if it had always been loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from memory.errors import ModelError
from tests.support.gguf_files import write_lora, write_tiny

GREEDY = Sampling(max_tokens=24)
OPENING = "Hello there, how are you today?"


def soon(target: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_replies_are_the_same_and_the_cache_is_restored(engine: Engine, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.gguf"
    write_lora(adapter, seed=1)
    engine.set_adapter(adapter, 0.5)
    prompt = engine.tokenize(OPENING)
    before = engine.generate(prompt, GREEDY).run()
    longer = [*prompt, *before.tokens, *engine.tokenize("And then?")]
    wanted = engine.generate(longer, GREEDY).run()
    engine.unload()
    assert engine.unloaded
    assert engine.tokenize(OPENING) == prompt
    assert engine.text(prompt) == OPENING
    engine.restore()
    assert not engine.unloaded
    assert engine.adapter == (adapter, 0.5)
    again = engine.generate(longer, GREEDY).run()
    assert again.tokens == wanted.tokens
    assert again.reused == len(longer) - 1  # nothing was evaluated again
    engine.set_adapter(None)
    assert engine.generate(prompt, GREEDY).run().reused == 0


def test_a_reply_requested_while_unloaded_waits(engine: Engine) -> None:
    prompt = engine.tokenize(OPENING)
    wanted = engine.generate(prompt, GREEDY).run().tokens
    engine.unload()
    engine.unload()  # requested twice
    reply = engine.generate(prompt, GREEDY)
    waiting = soon(reply.run)
    assert not reply.tokens
    engine.restore()
    waiting.join(30)
    assert reply.tokens == wanted


def test_waiting_for_the_model_can_be_cancelled(engine: Engine) -> None:
    engine.unload()
    reply = engine.generate(engine.tokenize(OPENING), GREEDY)
    waiting = soon(reply.run)
    reply.cancel()
    waiting.join(30)
    assert reply.reason == "cancelled"
    assert reply.text == ""
    with pytest.raises(ModelError, match="was not sent"):
        engine.wait(lambda: True)
    engine.restore()
    engine.wait(lambda: True)


def test_unloading_waits_for_the_current_reply(engine: Engine) -> None:
    reply = engine.generate(engine.tokenize(OPENING), GREEDY)
    pieces = iter(reply)
    next(pieces)
    leaving = soon(engine.unload)
    assert len([*pieces]) == len(reply.tokens) - 1
    leaving.join(30)
    assert engine.unloaded


def test_a_missing_adapter_is_left_out_when_the_model_is_restored(
    engine: Engine, tmp_path: Path
) -> None:
    prompt = engine.tokenize(OPENING)
    alone = engine.generate(prompt, GREEDY).run().tokens
    write_lora(tmp_path / "adapter.gguf", seed=1)
    engine.set_adapter(tmp_path / "adapter.gguf")
    engine.unload()
    (tmp_path / "adapter.gguf").unlink()
    engine.restore()
    assert engine.adapter is None
    assert engine.generate(prompt, GREEDY).run().tokens == alone


def test_a_failed_restore_raises_and_is_retried_with_the_next_reply(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "own.gguf")
    with Engine.open(path) as engine:
        prompt = engine.tokenize(OPENING)
        wanted = engine.generate(prompt, GREEDY).run().tokens
        engine.unload()
        away = path.rename(tmp_path / "away.gguf")
        with pytest.raises(ModelError, match="changed while"):
            engine.restore()
        with pytest.raises(ModelError, match="changed while"):
            engine.generate(prompt, GREEDY).run()
        away.rename(path)
        assert engine.generate(prompt, GREEDY).run().tokens == wanted


def test_an_engine_can_be_closed_while_unloaded(engine: Engine) -> None:
    engine.unload()
    engine.close()
    engine.close()
