"""Evaluate a merged and quantised model against the base with its adapter.

The base with the adapter answers the lessons' questions and some unrelated prompts greedily. The merged
model then answers the same prompts, and its probabilities are compared on the first model's replies,
token by token. Only one model is loaded at a time. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory.difference import Difference, Message
from memory.settings.settings import Settings
from trainer.evaluate.metrics import top_k_kl

if TYPE_CHECKING:
    from agent.adapters import Adapter
    from agent.llama.engine import Engine
    from trainer.fit.job import Ids, LogProbabilities

UNRELATED = 24
"""Number of unrelated prompts asked besides the lessons."""
LONGEST = 96
"""Most tokens of an unrelated reply that are compared."""
TOP = 64
KEPT = 0.9
"""Share of the lessons' replies that must stay the same for the merged model to be sound."""


@dataclass(frozen=True, slots=True)
class Survival:
    """How a merged model compares with base + adapter.

    Of `lessons` replies to lessons and `unrelated` others, `same_…` are the same. `kl` is the mean
    divergence from base + adapter in nats per token, `kl_base` that of base + adapter from the base.
    `right` and `right_merged` count the lessons that base + adapter and the merged model get right.
    """

    lessons: int
    same_lessons: int
    right: int
    right_merged: int
    unrelated: int
    same_unrelated: int
    kl: float
    kl_base: float

    @property
    def sound(self) -> bool:
        """Whether the merged model kept what was learned."""
        return self.right_merged >= KEPT * self.right and self.same_lessons >= KEPT * self.lessons

    @property
    def sentence(self) -> str:
        """What was measured, in one sentence."""
        moved = f"{self.kl:.4f} nats a token from base + adapter (the adapter: {self.kl_base:.4f})"
        same = f"{self.same_unrelated} of {self.unrelated} unrelated replies are the same"
        if not self.lessons:
            return f"Its lessons are not in the journal any more; {same}, {moved}."
        learnt = f"{self.right_merged} of the {self.right} lessons that the adapter has are left"
        if not self.right:
            learnt = f"{self.same_lessons} of {self.lessons} replies to lessons are the same"
        last = "." if self.sound else "; choose a finer --quant, or take the adapter as it is."
        return f"{learnt}, {same}, {moved}{last}"


@dataclass(frozen=True, slots=True)
class _Said:
    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    text: str
    expected: str | None
    ids: Ids
    logs: LogProbabilities


def survival(
    base: Path,
    adapter: Adapter,
    merged: Path,
    *,
    differences: Sequence[Difference],
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survival:
    """Compare the GGUF `merged` with `base` under `adapter`.

    `differences` are those the adapter was trained on that are still in the journal.

    Raises:
        ModelError, AdapterError: a file cannot be served.
    """
    from agent.llama.engine import Engine

    with Engine.open(base, settings.model) as engine:
        asked = _asked(engine, differences, settings)
        total = 3 * len(asked)
        engine.set_adapter(adapter.gguf, adapter.manifest.scale)
        said = []
        for prompt, expected, longest in asked:
            said.append(_say(engine, prompt, expected, longest))
            progress(len(said), total)
        engine.set_adapter(None)
        drift = [_kl(engine, one) for one in said]
        progress(2 * len(asked), total)
    with Engine.open(merged, settings.model) as engine:
        kls = [_kl(engine, one) for one in said]
        texts = [_text(engine, one.prompt, max(1, len(one.reply) + 8)) for one in said]
        progress(total, total)
    lessons = [(x, text) for x, text in zip(said, texts, strict=True) if x.expected is not None]
    others = [(x, text) for x, text in zip(said, texts, strict=True) if x.expected is None]
    return Survival(
        lessons=len(lessons),
        same_lessons=sum(x.text == text for x, text in lessons),
        right=sum(x.text == x.expected for x, _text in lessons),
        right_merged=sum(x.text == x.expected == text for x, text in lessons),
        unrelated=len(others),
        same_unrelated=sum(text.startswith(x.text) for x, text in others),
        kl=_mean(kls),
        kl_base=_mean(drift),
    )


def _asked(
    engine: Engine, differences: Sequence[Difference], settings: Settings
) -> list[tuple[tuple[int, ...], str | None, int]]:
    from agent.prompt.prompt import compose
    from trainer.lessons.anchors.base_answers import prompts
    from trainer.lessons.lessons import make_lessons

    lessons, _replaced, _long = make_lessons(engine, differences, settings)
    made: list[tuple[tuple[int, ...], str | None, int]] = [
        (lesson.question.prompt, lesson.expected.strip(), len(lesson.chosen) + 16)
        for lesson in lessons
    ]
    _trained, held_out = prompts()
    for text in held_out[:UNRELATED]:
        made.append((compose(engine, [Message("user", text)]).tokens, None, LONGEST))
    return made


def _say(engine: Engine, prompt: tuple[int, ...], expected: str | None, longest: int) -> _Said:
    from agent.llama.sampling_parameters import Sampling

    made = engine.generate(prompt, Sampling(max_tokens=longest)).run()
    reply = tuple(made.tokens)
    ids, logs = [], []
    for row in engine.log_probabilities([*prompt, *reply], len(prompt)):
        top = np.argsort(row)[-TOP:]
        ids.append(top.astype(np.int32))
        logs.append(row[top])
    width = min(TOP, engine.info.vocabulary)
    return _Said(
        prompt,
        reply,
        made.text.strip(),
        expected,
        np.array(ids, np.int32).reshape(len(reply), width),
        np.array(logs, np.float32).reshape(len(reply), width),
    )


def _text(engine: Engine, prompt: tuple[int, ...], longest: int) -> str:
    from agent.llama.sampling_parameters import Sampling

    return engine.generate(prompt, Sampling(max_tokens=longest)).run().text.strip()


def _kl(engine: Engine, said: _Said) -> list[float]:
    """Return KL(said ‖ engine) at each token of the reply, in nats; see `top_k_kl`."""
    rows = engine.log_probabilities([*said.prompt, *said.reply], len(said.prompt))
    return [top_k_kl(said.logs[n], row[said.ids[n]]) for n, row in enumerate(rows)]


def _mean(groups: Sequence[Sequence[float]]) -> float:
    values = [value for group in groups for value in group]
    return max(0.0, sum(values) / len(values)) if values else 0.0
