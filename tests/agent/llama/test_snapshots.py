"""A model with recurrent layers is restored to the end of the settled part of a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Message
from tests.support.architectures import small, write_like
from tests.support.gguf_files import write_lora

GREEDY = Sampling(max_tokens=8)
BLOCK = "<past-differences {}>\n" + "The capital is Lutz. " * 6 + "\n</past-differences {}>"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Engine]:
    with Engine.open(write_like(tmp_path / "m.gguf", small("qwen35"), context=4096)) as engine:
        yield engine


def talk(engine: Engine, turns: int) -> tuple[list[int], list[Message]]:
    """Chat for some turns, with a recalled block in each; return the tokens evaluated in each."""
    said: list[Message] = []
    evaluated = []
    for turn in range(turns):
        said.append(Message("user", f"Question {turn}: what is the capital of Zubrowka?"))
        prompt = compose(engine, said, block=BLOCK.format(turn, turn))
        generation = engine.generate(prompt.tokens, GREEDY, prompt.asked, prompt.settled).run()
        evaluated.append(len(prompt.tokens) - generation.reused)
        # A random model's reply depends on rounding, so the conversation continues with a fixed one.
        said.append(Message("assistant", "It is not known to me."))
    return evaluated, said


def test_the_cost_of_a_turn_does_not_depend_on_the_length_of_the_conversation(
    served: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated, _ = talk(served, 20)
    assert max(evaluated[2:]) - min(evaluated[2:]) < 20
    monkeypatch.setattr("agent.llama.snapshots.Snapshots.want", lambda _self, _length: None)
    served.generate(served.tokenize("Something else"), GREEDY).run()
    without, _ = talk(served, 20)
    assert evaluated[-1] < without[-1] / 5


def test_results_after_restoring_a_snapshot_equal_those_of_a_new_context(served: Engine) -> None:
    _, said = talk(served, 4)
    said.append(Message("user", "And now?"))
    prompt = compose(served, said)
    reused = served.generate(prompt.tokens, GREEDY, prompt.asked, prompt.settled).run().reused
    rows = np.stack(list(served.log_probabilities(prompt.tokens, len(prompt.tokens) - 4)))
    served.generate(served.tokenize("Something else"), GREEDY).run()
    fresh = np.stack(list(served.log_probabilities(prompt.tokens, len(prompt.tokens) - 4)))
    assert reused > 200
    # As much as a different split into batches would change.
    assert float((np.exp(fresh) * (fresh - rows)).sum(-1).mean()) < 1e-5


def test_another_adapter_clears_the_snapshots(served: Engine, tmp_path: Path) -> None:
    _, said = talk(served, 3)
    random = np.random.default_rng(1)
    name = "blk.1.attn_q.weight.lora_"
    tensors = {
        f"{name}a": random.normal(0, 0.1, (4, 64)).astype(np.float16),
        f"{name}b": random.normal(0, 0.1, (256, 4)).astype(np.float16),
    }
    served.set_adapter(write_lora(tmp_path / "a.gguf", architecture="qwen35", tensors=tensors))
    said.append(Message("user", "And now?"))
    prompt = compose(served, said)
    assert served.generate(prompt.tokens, GREEDY, prompt.asked, prompt.settled).run().reused == 0


def test_a_cache_that_can_be_truncated_needs_no_snapshots(engine: Engine) -> None:
    evaluated, _ = talk(engine, 3)
    assert engine._model.llama.snapshots._saved == []
    assert evaluated[2] < evaluated[0] + evaluated[1]
