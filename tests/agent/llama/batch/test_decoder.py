"""Prompts evaluated together have the results of prompts evaluated one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.llama.batch.decoder import Evaluate, Steps, Task
from agent.llama.batch.greedy import GreedyReply, continued, greedy_reply
from agent.llama.batch.sequences import MAX_CHUNK_TOKENS
from agent.llama.engine import Engine
from agent.llama.logits import log_softmax, most_likely, surprisal_of
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.errors import ModelError
from tests.support.gguf_files import write_lora

MOST = 12
TEXTS = ["Who are you?", "Who is that?", "What is the capital of France?", "Tell me a story.",
         "Who are you?", "Кто ты?", "Hi", "Tell me a joke."]  # fmt: skip


@pytest.fixture
def served(starter: Path) -> Iterator[Engine]:
    with Engine.open(starter) as engine:
        yield engine


def prompts(engine: Engine) -> list[tuple[int, ...]]:
    return [compose(engine, [Message("user", text)], room=MOST).tokens for text in TEXTS]


def replies(
    engine: Engine, asked: list[tuple[int, ...]], *, together: int, top: int = 5
) -> list[GreedyReply]:
    tasks = [greedy_reply(prompt, MOST, engine.ends_turn, top=top) for prompt in asked]
    found = dict(engine.run_tasks(tasks, together=together))
    assert sorted(found) == list(range(len(asked)))
    return [found[number] for number in range(len(asked))]


def assert_as_generated(engine: Engine, asked: tuple[int, ...], made: GreedyReply) -> None:
    """The reply and its log-probabilities are those of the chat, except for near ties."""
    alone = engine.generate(asked, Sampling(max_tokens=MOST)).run()
    for place, (one, two) in enumerate(zip(alone.tokens, made.tokens, strict=False)):
        if one != two:
            assert made.logs[place, 0] - made.logs[place, 1] < 0.02
            return
    assert (tuple(alone.tokens), alone.reason == "end") == (made.tokens, made.ended)
    reply = [*made.tokens, *([engine.end_of_turn] if made.ended else [])]
    rows = engine.log_probabilities([*asked, *reply], len(asked))
    for place, row in enumerate(rows):
        assert np.allclose(made.logs[place], np.sort(row)[::-1][: made.logs.shape[1]], atol=1e-2)
        assert np.allclose(made.logs[place], row[made.ids[place]], atol=1e-2)


@pytest.mark.parametrize("together", [1, 3, 16])
def test_batched_replies_equal_single_replies(served: Engine, together: int) -> None:
    asked = prompts(served)
    for prompt, made in zip(asked, replies(served, asked, together=together), strict=True):
        assert_as_generated(served, prompt, made)


def test_the_batch_does_not_change_the_logits(served: Engine) -> None:
    asked = prompts(served)
    first, second = (replies(served, asked, together=count) for count in (2, 5))
    third = replies(served, asked[::-1], together=4)[::-1]
    for one, *others in zip(first, second, third, strict=True):
        for other in others:
            assert one.tokens == other.tokens
            assert (one.logs == other.logs).all()


def test_batches_use_the_engines_adapter(tiny: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora.gguf", scale=0.5)
    with Engine.open(tiny) as engine:
        asked = [tuple(engine.tokenize(text)) for text in TEXTS]
        base = replies(engine, asked, together=4)
        engine.set_adapter(lora, 0.7)
        adapted = replies(engine, asked, together=4)
        for prompt, made in zip(asked, adapted, strict=True):
            assert_as_generated(engine, prompt, made)
        engine.set_adapter(None)
        again = replies(engine, asked, together=4)
    assert [one.tokens for one in base] == [one.tokens for one in again]
    assert [one.tokens for one in base] != [one.tokens for one in adapted]


def test_batches_do_not_change_the_chats_context(served: Engine) -> None:
    prompt = prompts(served)[2]
    before = served.generate(prompt, Sampling(max_tokens=MOST)).run()
    replies(served, prompts(served), together=4)
    after = served.generate(prompt, Sampling(max_tokens=MOST)).run()
    assert after.reused == len(prompt) - 1
    assert after.tokens == before.tokens
    assert after.surprisal == pytest.approx(before.surprisal, abs=1e-4)


def scored(prompt: tuple[int, ...], reply: tuple[int, ...]) -> Task[list[float]]:
    """Read ln p of each token of a reply, then cut it back and read the first one again."""

    def steps() -> Steps[list[float]]:
        def read(place: int, row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
            return float(log_softmax(row)[reply[place]])

        found = yield Evaluate([*prompt, *reply[:-1]], len(prompt) - 1, read)
        again = yield Evaluate(prompt[-1:], 0, read, keep=len(prompt) - 1)
        return [*found, *again]

    return Task(steps(), len(prompt) + len(reply))


@pytest.mark.parametrize("length", [3, MAX_CHUNK_TOKENS, 200])
@pytest.mark.parametrize("together", [1, 4])
def test_batched_scores_equal_single_scores(engine: Engine, length: int, together: int) -> None:
    asked = [tuple(engine.tokenize(text * 9)) for text in TEXTS[:5]]
    reply = tuple(engine.tokenize("x, y. " * 40)[:length])
    found = dict(engine.run_tasks([scored(prompt, reply) for prompt in asked], together=together))
    for number, prompt in enumerate(asked):
        alone = -engine.surprisal(prompt, reply)
        # Over long replies the two kernels of flash attention differ by more.
        assert np.allclose(
            found[number][:-1], alone, atol=1e-2 if length <= MAX_CHUNK_TOKENS else 3e-2
        )
        assert found[number][-1] == pytest.approx(alone[0], abs=1e-2)


def test_a_scored_reply_is_generated_from_the_first_mismatch(engine: Engine) -> None:
    asked = [tuple(engine.tokenize(text)) for text in TEXTS[:4]]

    def task(prompt: tuple[int, ...]) -> Task[list[int]]:
        said: list[int] = []

        def steps() -> Steps[list[int]]:
            wrong = [*prompt, *engine.tokenize("zzzzz")]
            best = yield Evaluate(wrong, len(prompt) - 1, lambda _place, row: int(row.argmax()))

            def keep(token: int) -> bool:
                said.append(token)
                return False

            yield from continued(best[0], len(prompt), 8, engine.ends_turn, keep)
            return said

        return Task(steps(), len(prompt) + 20)

    found = dict(engine.run_tasks([task(prompt) for prompt in asked], together=3))
    for number, prompt in enumerate(asked):
        assert found[number] == engine.generate(prompt, Sampling(max_tokens=8)).run().tokens


def test_prompts_of_very_different_lengths_are_all_answered(engine: Engine) -> None:
    asked = [tuple(engine.tokenize("y" * size)) for size in (450, 3, 300, 5, 260, 4)]
    for prompt, made in zip(asked, replies(engine, asked, together=4), strict=True):
        assert_as_generated(engine, prompt, made)


def test_without_memory_for_a_second_context_prompts_are_answered_one_by_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [tuple(engine.tokenize(text)) for text in TEXTS]
    together = replies(engine, asked, together=4)
    monkeypatch.setattr("agent.llama.engine.open_sequences", lambda *_args: None)
    alone = replies(engine, asked, together=4)
    assert [one.tokens for one in together] == [one.tokens for one in alone]


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_evaluated(
    engine: Engine,
) -> None:
    tasks = [greedy_reply(prompt, MOST, engine.ends_turn) for prompt in [(1, 2), (3,) * 510]]
    with pytest.raises(ModelError, match="do not fit into the context of 512"):
        next(iter(engine.run_tasks(tasks)))


def test_an_abandoned_iteration_releases_the_engine(engine: Engine) -> None:
    asked = [tuple(engine.tokenize(text)) for text in TEXTS]
    tasks = [greedy_reply(prompt, MOST, engine.ends_turn) for prompt in asked]
    running = engine.run_tasks(tasks, together=2)
    next(running)
    running.close()
    assert engine.generate(asked[0], Sampling(max_tokens=4)).run().tokens


def test_no_tasks_give_no_results(engine: Engine) -> None:
    assert list(engine.run_tasks([])) == []


@pytest.mark.parametrize("width", [5, 300, 5000, 49_152])
@pytest.mark.parametrize("count", [1, 20])
def test_the_most_likely_tokens_are_found(width: int, count: int) -> None:
    row = np.random.default_rng(width).normal(0, 4, width).astype(np.float32)
    row[-1] = row.max() + 1
    ids, logs = most_likely(row, count)
    order = np.argsort(-row, kind="stable")[:count]
    assert ids.tolist() == order.tolist()
    assert np.allclose(logs, log_softmax(row)[order], atol=1e-4)


@pytest.mark.parametrize("gap", [0.0, 50.0, 200.0])
def test_the_surprisal_of_any_token_is_that_of_the_softmax(gap: float) -> None:
    row = np.random.default_rng(3).normal(0, 4, 500).astype(np.float32)
    row[7] += gap
    for token in (int(row.argmax()), 0, int(row.argmin())):
        assert surprisal_of(row, token) == pytest.approx(-log_softmax(row)[token], abs=1e-3)
