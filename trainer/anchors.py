"""What must stay as it is: the base's own greedy answers, remembered on disk.

A training adapter is held to the base on anchors (unrelated prompts that ship with the project) and on
near-misses; the gate asks others of the same kind. An answer depends on the base file, the prompt and
nothing else, so it is kept in the user's cache, one npz without pickle for each base, and the second
night asks the model almost nothing. A damaged cache is ignored and written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.job import Ids, LogProbabilities

if TYPE_CHECKING:
    from agent.engine import Engine

TOP = 20
"""How many of the base's likeliest tokens are kept at each position."""
LONGEST = 32
"""Tokens of an answer that are held and measured; a longer one is cut there."""
KEPT = 4000
"""Answers that one cache file keeps, the latest."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A prompt and the base's own greedy answer.

    `reply` ends with the end of turn when the base closed it within LONGEST tokens. `ids` and `logs`
    [len(reply), TOP] are the likeliest tokens and their ln p at each reply position.
    """

    asked: str
    prompt: tuple[int, ...]
    text: str
    reply: tuple[int, ...]
    ids: Ids
    logs: LogProbabilities


@cache
def prompts() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the shipped prompts, split by their hash: (for training, for the gate)."""
    data = tomllib.loads(files("trainer").joinpath("anchors.toml").read_text(encoding="utf-8"))
    lines = [line for name in ("english", "russian") for line in data[name].strip().splitlines()]
    ordered = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    halves: tuple[list[str], list[str]] = ([], [])
    for line in ordered:
        halves[hashlib.sha256(line.encode()).digest()[-1] % 2].append(line)
    return tuple(halves[0]), tuple(halves[1])


class Answers:
    """The base's answers, computed once for each prompt. Use `get`, then `save`."""

    def __init__(self, engine: Engine, base_sha256: str, folder: Path) -> None:
        self._engine = engine
        self._path = folder / "anchors" / f"{base_sha256[:32]}.npz"
        self._known: dict[str, tuple[Ids, Ids, LogProbabilities]] = {}
        self._changed = False
        self._read()

    def get(
        self,
        asked: Sequence[tuple[str, tuple[int, ...]]],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Anchor]:
        """Return the base's answers to (text, prompt tokens) pairs; the engine must wear no adapter."""
        found: list[Anchor] = []
        for done, (text, prompt) in enumerate(asked, start=1):
            key = hashlib.sha256(json.dumps([LONGEST, TOP, *prompt]).encode()).hexdigest()[:32]
            if key not in self._known:
                self._known[key] = self._answer(prompt)
                self._changed = True
            reply, ids, logs = self._known[key]
            tokens = tuple(reply.tolist())
            found.append(Anchor(text, prompt, self._engine.text(tokens).strip(), tokens, ids, logs))
            progress(done, len(asked))
        return found

    def _answer(self, prompt: tuple[int, ...]) -> tuple[Ids, Ids, LogProbabilities]:
        from agent.engine import Sampling

        engine = self._engine
        made = engine.generate(prompt, Sampling(max_tokens=LONGEST)).run()
        reply = [*made.tokens, engine.end_of_turn] if made.reason == "end" else list(made.tokens)
        width = min(TOP, engine.info.vocabulary)
        ids = np.zeros((len(reply), width), np.int32)
        logs = np.zeros((len(reply), width), np.float32)
        for place, row in enumerate(engine.log_probabilities([*prompt, *reply], len(prompt))):
            best = np.argpartition(row, -width)[-width:]
            ids[place] = best[np.argsort(-row[best])]
            logs[place] = row[ids[place]]
        return np.array(reply, np.int32), ids, logs

    def save(self) -> None:
        """Write the answers back; a cache that cannot be written costs time, nothing else."""
        if not self._changed:
            return
        keys = list(self._known)[-KEPT:]
        kept = [self._known[key] for key in keys]
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp.npz")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(
                temporary,
                keys=np.frombuffer("".join(keys).encode(), np.uint8),
                lengths=np.array([len(reply) for reply, _, _ in kept], np.int32),
                replies=np.concatenate([reply for reply, _, _ in kept]),
                ids=np.concatenate([ids for _, ids, _ in kept]),
                logs=np.concatenate([logs for _, _, logs in kept]),
            )
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
        self._changed = False

    def _read(self) -> None:
        try:
            with np.load(self._path, allow_pickle=False) as data:
                cuts = np.cumsum(data["lengths"])[:-1]
                replies, ids, logs = (np.split(data[n], cuts) for n in ("replies", "ids", "logs"))
                text = data["keys"].tobytes().decode()
            keys = [text[start : start + 32] for start in range(0, len(text), 32)]
            self._known = dict(zip(keys, zip(replies, ids, logs, strict=True), strict=True))
        except Exception:  # missing or damaged in whatever way: it is only a cache
            self._known = {}
