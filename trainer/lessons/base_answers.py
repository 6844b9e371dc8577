"""The base's own greedy answers to anchors and near misses, cached on disk.

Training keeps an adapter close to the base on anchors (unrelated prompts that ship with the project)
and on near misses, and the gate asks others of the same kind. An answer depends only on the base file
and the prompt, so it is cached: one npz without pickle per base. While answers are computed, they are
saved every few seconds in a part file beside the cache, so an interrupted process loses only seconds of
work; `save` merges the parts. A damaged file is ignored and its answers are computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import tomllib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory.files.atomic_write import whole
from memory.files.bounded_read import open_file
from memory.settings.paths import private_folder
from trainer.fit.job import Ids, LogProbabilities

if TYPE_CHECKING:
    from agent.llama.engine import Engine

TOP = 20
"""Number of the base's most likely tokens kept at each position."""
LONGEST = 32
"""Tokens of an answer that are trained on and measured; longer answers are cut."""
KEPT = 4000
"""Most answers in one cache file; the latest are kept."""
SAVE_SECONDS = 5.0
"""Seconds between two saves while answers are computed."""

Kept = tuple[Ids, Ids, LogProbabilities]


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A prompt and the base's own greedy answer.

    `reply` ends with the end of turn if the base ended it within LONGEST tokens. `ids` and `logs`, of
    shape [len(reply), TOP], are the most likely tokens and their ln p at each position of the reply.
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
    data = tomllib.loads(files(__package__).joinpath("anchors.toml").read_text(encoding="utf-8"))
    lines = [line for name in ("english", "russian") for line in data[name].strip().splitlines()]
    ordered = sorted(lines, key=lambda line: hashlib.sha256(line.encode()).digest())
    halves: tuple[list[str], list[str]] = ([], [])
    for line in ordered:
        halves[hashlib.sha256(line.encode()).digest()[-1] % 2].append(line)
    return tuple(halves[0]), tuple(halves[1])


class BaseAnswers:
    """The base's answers, computed once per prompt. Use `get`, then `save`.

    Several processes may do this at once: each removes only the parts that it read or wrote.
    """

    def __init__(self, engine: Engine, base_sha256: str, folder: Path) -> None:
        self._engine = engine
        self._path = folder / "anchors" / f"{base_sha256[:32]}.npz"
        self._known: dict[str, Kept] = _read(self._path)
        self._parts = sorted(self._path.parent.glob(f"{self._path.stem}.*.npz"))
        for part in self._parts:
            self._known.update(_read(part))
        self._new: list[str] = []
        self._changed = bool(self._parts)
        self.computed = 0
        """Number of answers that were not cached and have been computed so far."""

    def known(self, prompt: Sequence[int]) -> bool:
        """Whether the answer to a prompt (token ids) is cached, so that asking costs nothing."""
        return _key(prompt) in self._known

    @property
    def likelihoods(self) -> Path:
        """The cache file of `trainer/lessons/likelihood.py` beside that of the answers."""
        return self._path.with_name(f"likely-{self._path.stem}.json")

    def get(
        self,
        asked: Sequence[tuple[str, tuple[int, ...]]],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Anchor]:
        """Return the base's answers to (text, prompt tokens) pairs; the engine must have no adapter."""
        found: list[Anchor] = []
        saved = time.monotonic()
        try:
            for done, (text, prompt) in enumerate(asked, start=1):
                key = _key(prompt)
                if key not in self._known:
                    self._known[key] = self._answer(prompt)
                    self._new.append(key)
                    self.computed += 1
                if self._new and time.monotonic() - saved >= SAVE_SECONDS:
                    self._save_part()
                    saved = time.monotonic()
                reply, ids, logs = self._known[key]
                tokens = tuple(reply.tolist())
                said = self._engine.text(tokens).strip()
                found.append(Anchor(text, prompt, said, tokens, ids, logs))
                progress(done, len(asked))
        finally:
            self._save_part()
        return found

    def _answer(self, prompt: tuple[int, ...]) -> Kept:
        from agent.llama.sampling import Sampling

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
        """Write all answers to one file. A cache that cannot be written costs only time."""
        if not self._changed:
            return
        if _write(self._path, list(self._known.items())[-KEPT:]):
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
            self._parts = []
        self._changed = False

    def _save_part(self) -> None:
        if not self._new:
            return
        name = f"{self._path.stem}.{time.time_ns():020d}-{os.getpid()}.npz"
        if _write(self._path.with_name(name), [(key, self._known[key]) for key in self._new]):
            self._parts.append(self._path.with_name(name))
        self._new = []
        self._changed = True


def _key(prompt: Sequence[int]) -> str:
    """Return the name of a prompt in the cache."""
    return hashlib.sha256(json.dumps([LONGEST, TOP, *prompt]).encode()).hexdigest()[:32]


def _write(path: Path, answers: Iterable[tuple[str, Kept]]) -> bool:
    """Write answers atomically; return False if they cannot be written."""
    keys, kept = zip(*answers, strict=True)
    try:
        private_folder(path.parent)
        with whole(path) as part, part.open("xb") as file:
            np.savez(
                file,
                keys=np.frombuffer("".join(keys).encode(), np.uint8),
                lengths=np.array([len(reply) for reply, _, _ in kept], np.int32),
                replies=np.concatenate([reply for reply, _, _ in kept]),
                ids=np.concatenate([ids for _, ids, _ in kept]),
                logs=np.concatenate([logs for _, _, logs in kept]),
            )
    except OSError:
        return False
    return True


def _read(path: Path) -> dict[str, Kept]:
    """Return the answers in a file; none if it is missing or damaged."""
    try:
        with open_file(path) as file, np.load(file, allow_pickle=False) as data:
            cuts = np.cumsum(data["lengths"])[:-1]
            replies, ids, logs = (np.split(data[n], cuts) for n in ("replies", "ids", "logs"))
            text = data["keys"].tobytes().decode()
        keys = [text[start : start + 32] for start in range(0, len(text), 32)]
        return dict(zip(keys, zip(replies, ids, logs, strict=True), strict=True))
    except Exception:  # it is only a cache
        return {}
