"""A night on third-party weights: SmolLM2-135M-Instruct, from the extra `bench`.

Short, so it may end either way: the test checks that every step runs and that the adapter in use is the
one that the report names. `benchmarks/learning_real.py` measures how well marks are learned.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import read_adapter, read_pointer
from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from benchmarks.real_marks import differences, model_path, real_marks
from benchmarks.real_measuring import marked_reply
from benchmarks.recalling import write_differences
from memory.difference import Message
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from trainer.evaluate.metrics import same
from trainer.night.night import run_night
from trainer.night.request import RunRequest
from trainer.report.report import Report, read_report

SHORT: dict[str, dict[str, Any]] = {
    "model": {"context": 1024},
    "training": {"learning_rates": [6e-3], "max_steps": 24, "anchors_per_lesson": 2},
    "night": {"max_minutes": 10},
}


@pytest.fixture(scope="module")
def smollm2() -> Path:
    try:
        return model_path()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_a_short_night_on_real_weights_ends_with_an_adapter_or_a_reasoned_rejection(
    home: Home, smollm2: Path
) -> None:
    settings = read_settings(home, SHORT)
    marks = real_marks(2, dev=True)
    with Engine.open(smollm2, settings.model) as engine:
        made = differences(marks, lambda text: marked_reply(engine, text))
    assert all(not same(item.replied, mark.sounds) for mark, item in zip(marks, made, strict=True))
    write_differences(home, made)

    report = run_night(RunRequest(home, settings, smollm2))

    assert report.verdict in ("published", "rejected"), report.sentence
    stored = read_report(Path(report.run))
    assert stored is not None
    assert stored == Report.from_json(json.dumps(report.to_json()))
    assert sorted(fate.asked for fate in report.fates) == sorted(mark.asked for mark in marks)
    assert all(fate.trained for fate in report.fates)
    assert report.attempts[0].steps > 0
    assert {"base", "recall", "alone", "served"} <= {row.kind for row in report.beside}
    failed = [measure for measure in report.measures if not measure.may_serve]
    assert bool(failed) == (report.verdict == "rejected")
    identity = read_pointer(home.adapters).current
    assert identity == report.adapter
    assert (identity is not None) == (report.verdict == "published")
    if identity is None:
        return
    adapter = read_adapter(home.adapters, identity)
    with Journal(home.journal) as journal:
        known = {item.id for item in journal.differences.all()}
    assert set(adapter.manifest.holds) <= known
    with Engine.open(smollm2, settings.model) as engine:
        engine.set_adapter(adapter.gguf, adapter.manifest.scale)
        for mark, item in zip(marks, made, strict=True):
            if item.id in adapter.manifest.holds:
                assert same(marked_reply(engine, mark.asked), mark.sounds)


def test_a_turn_ends_with_the_token_that_the_template_writes(smollm2: Path) -> None:
    with Engine.open(smollm2) as engine:
        (closing,) = engine.tokenize("<|im_end|>", special=True)
        assert engine.end_of_turn == closing
        reply = engine.generate(
            compose(engine, [Message("user", "What is the capital of Peru?")]).tokens,
            Sampling(max_tokens=32),
        ).run()
        assert reply.reason == "end"
        rows = engine.log_probabilities([*reply.prompt, *reply.tokens, 0], len(reply.prompt))
        assert [int(row.argmax()) for row in rows] == [*reply.tokens, closing]
