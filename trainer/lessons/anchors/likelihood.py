"""Measure how likely the base finds a message.

This tells which near misses are natural, and which languages the base speaks. A malformed sentence
surprises the base more than a well-formed one. The measure is its mean surprisal in nats per token, in
the prompt of a new thread; between languages, which a tokenizer splits differently, in nats per
character. It depends only on the base file and the text, and is cached in one JSON file per base.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from memory.errors import FileError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import read_json
from memory.files.locks import file_lock
from memory.settings.paths import private_folder
from trainer.lessons.anchors.near_misses import NearMiss
from trainer.lessons.rephrase import is_russian

if TYPE_CHECKING:
    from trainer.lessons.lesson import Asker

FOREIGN = 2.0
"""A language counts as not spoken at this many times the nats per character of the other one.
*Measured*: Russian relative to English 1.3 on the starter, which speaks both; 3.3 on SmolLM2-135M,
which does not speak Russian."""
SAMPLES = 8
"""Number of prompts per language that decide this."""
KEPT = 20_000
"""Most messages in the cache file; the latest are kept."""


class Likelihood:
    """Measures messages under the base alone. Use the methods, then `save`."""

    def __init__(self, ask: Asker, cache: Path | None = None) -> None:
        """Use `ask` to make prompts; its engine must have no adapter."""
        self._ask, self._path = ask, cache
        self._known = _read(cache) if cache else {}
        self._changed = False
        self._frame: tuple[int, int] | None = None

    def surprisal(self, text: str) -> tuple[float, int]:
        """Return the total surprisal of a message in nats, and its number of tokens."""
        head, tail = self._around()
        prompt = self._ask(text).prompt
        tokens = prompt[head : len(prompt) - tail]
        # The prompt is part of the key: a system prompt changes what is likely.
        key = hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:32]
        if key not in self._known:
            found = self._ask.engine.surprisal(prompt[:head], tokens) if head else [0.0]
            self._known[key] = round(float(sum(found)), 4)
            self._changed = True
        return self._known[key], max(1, len(tokens))

    def per_token(self, text: str) -> float:
        """Return the mean surprisal of a message in nats per token."""
        nats, tokens = self.surprisal(text)
        return nats / tokens

    def most_natural(self, near: Sequence[NearMiss], count: int) -> list[NearMiss]:
        """Return `count` of `near` in their order, without the most surprising of each sort.

        Each sort loses the same share, so that none crowds out another.
        """
        if len(near) <= count:
            return list(near)
        share = count / len(near)
        kept: set[int] = set()
        for sort in dict.fromkeys(item.sort for item in near):
            mine = [number for number, item in enumerate(near) if item.sort == sort]
            mine.sort(key=lambda number: self.per_token(near[number].text))
            kept.update(mine[: max(1, round(share * len(mine)))])
        return [item for number, item in enumerate(near) if number in kept][:count]

    def spoken(self, prompts: Sequence[str]) -> frozenset[str]:
        """Return which of "english" and "russian" the base speaks, judging by some of `prompts`."""
        found: dict[str, float] = {}
        for language in ("english", "russian"):
            mine = [text for text in prompts if is_russian(text) == (language == "russian")]
            some = mine[:: max(1, len(mine) // SAMPLES)][:SAMPLES]
            if some:
                nats = sum(self.surprisal(text)[0] for text in some)
                found[language] = nats / sum(len(text) for text in some)
        least = min(found.values(), default=0.0)
        return frozenset(name for name, value in found.items() if value <= FOREIGN * least)

    def save(self) -> None:
        """Write the cache file, if possible; without it, messages are measured again.

        What another process has written to it meanwhile is kept.
        """
        if not self._changed or self._path is None:
            return
        try:
            private_folder(self._path.parent)
            with file_lock(self._path.with_suffix(".lock"), wait=True):
                merged = {**_read(self._path), **self._known}
                write_whole(self._path, json.dumps(dict(list(merged.items())[-KEPT:])))
        except OSError:
            return
        self._changed = False

    def _around(self) -> tuple[int, int]:
        """Return the numbers of tokens before and after the message in a prompt."""
        if self._frame is None:
            one, other = (self._ask(text).prompt for text in ("Yes, it is.", "12 + 7"))
            self._frame = _shared(one, other), _shared(one[::-1], other[::-1])
        return self._frame


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def of_languages(texts: Iterable[str], languages: frozenset[str]) -> list[str]:
    """Return the texts in one of `languages`."""
    return [text for text in texts if ("russian" if is_russian(text) else "english") in languages]


def _read(path: Path) -> dict[str, float]:
    try:
        return {str(key): float(value) for key, value in read_json(path).items()}
    except (OSError, FileError, ValueError, TypeError, AttributeError):  # it is only a cache
        return {}
