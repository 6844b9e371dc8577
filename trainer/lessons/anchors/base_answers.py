"""The base's own greedy answers to anchors and near misses, cached on disk.

Training keeps an adapter close to the base on anchors (unrelated prompts that ship with the project)
and on near misses, and the gate asks others of the same kind. An answer depends only on the base file
and the prompt, so it is cached: one npz without pickle per base. Several prompts are answered together
(`Engine.run_tasks`). Each answer is appended to a part file next to the cache as soon as it is
complete, so a process that is killed loses none; `save` merges the parts. What is damaged is ignored
and computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import time
import tomllib
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memory.files.atomic_write import whole
from memory.files.bounded_read import open_file
from memory.files.locks import file_lock
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
_PART = ".answers"
_KEY = re.compile(rb"[0-9a-f]{32}")
_RECORD = struct.Struct("<32sIII")
"""The head of an answer in a part file: its key, tokens, most likely tokens per position, CRC-32."""

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
    text = files(__package__).joinpath("unrelated_prompts.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
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
        self._parts = sorted(self._path.parent.glob(f"{self._path.stem}.*{_PART}"))
        for part in self._parts:
            self._known.update(_read_part(part))
        self._part: Path | None = None
        self._changed = bool(self._parts)
        self.computed = 0
        """Number of answers that were not cached and have been computed so far."""

    def known(self, prompt: Sequence[int]) -> bool:
        """Whether the answer to a prompt (token ids) is cached."""
        return _key(prompt) in self._known

    @property
    def likelihoods(self) -> Path:
        """The cache file of `trainer/lessons/anchors/likelihood.py`, next to that of the answers."""
        return self._path.with_name(f"likely-{self._path.stem}.json")

    def get(
        self,
        asked: Sequence[tuple[str, tuple[int, ...]]],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Anchor]:
        """Return the base's answers to (text, prompt tokens) pairs; the engine must have no adapter."""
        missing = {
            key: prompt for _text, prompt in asked if (key := _key(prompt)) not in self._known
        }
        done = len(asked) - len(missing)
        if done:
            progress(done, len(asked))
        with closing(self._answers(list(missing.values()))) as answers:
            for number, kept in answers:
                self._remember(list(missing)[number], kept)
                done += 1
                progress(done, len(asked))
        return [self._anchor(text, prompt) for text, prompt in asked]

    def _answers(self, prompts: Sequence[tuple[int, ...]]) -> Generator[tuple[int, Kept]]:
        """Yield the number of a prompt and its answer, as they are ready."""
        from agent.llama.batch.greedy import greedy_reply

        engine = self._engine
        width, context = min(TOP, engine.info.vocabulary), engine.info.context
        tasks = [
            greedy_reply(prompt, min(LONGEST, context - len(prompt)), engine.ends_turn, top=width)
            for prompt in prompts
        ]
        for number, made in engine.run_tasks(tasks):
            reply = [*made.tokens, engine.end_of_turn] if made.ended else made.tokens
            yield number, (np.array(reply, np.int32), made.ids, made.logs)

    def _anchor(self, text: str, prompt: tuple[int, ...]) -> Anchor:
        reply, ids, logs = self._known[_key(prompt)]
        tokens = tuple(reply.tolist())
        return Anchor(text, prompt, self._engine.text(tokens).strip(), tokens, ids, logs)

    def _remember(self, key: str, kept: Kept) -> None:
        """Keep an answer, and append it to this process's part file."""
        self._known[key] = kept
        self.computed += 1
        self._changed = True
        if self._part is None:
            name = f"{self._path.stem}.{time.time_ns():020d}-{os.getpid()}{_PART}"
            self._part = self._path.with_name(name)
            self._parts.append(self._part)
        with suppress(OSError):
            _append(self._part, key, kept)

    def save(self) -> None:
        """Write all answers to one file, if possible; without it, they are computed again.

        What another process has written to it meanwhile is kept.
        """
        if not self._changed:
            return
        with suppress(OSError):
            private_folder(self._path.parent)
            with file_lock(self._path.with_suffix(".lock"), wait=True):
                merged = {**_read(self._path), **self._known}
                _write(self._path, list(merged.items())[-KEPT:])
            for part in self._parts:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
            self._parts, self._part = [], None
        self._changed = False


def _key(prompt: Sequence[int]) -> str:
    """Return the name of a prompt in the cache."""
    return hashlib.sha256(json.dumps([LONGEST, TOP, *prompt]).encode()).hexdigest()[:32]


def _write(path: Path, answers: Iterable[tuple[str, Kept]]) -> None:
    """Write answers atomically.

    Raises:
        OSError: they cannot be written.
    """
    keys, kept = zip(*answers, strict=True)
    with whole(path) as part, part.open("xb") as file:
        np.savez(
            file,
            keys=np.frombuffer("".join(keys).encode(), np.uint8),
            lengths=np.array([len(reply) for reply, _, _ in kept], np.int32),
            replies=np.concatenate([reply for reply, _, _ in kept]),
            ids=np.concatenate([ids for _, ids, _ in kept]),
            logs=np.concatenate([logs for _, _, logs in kept]),
        )


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


def _append(path: Path, key: str, kept: Kept) -> None:
    """Append an answer to a part file of this process.

    Raises:
        OSError: it cannot be written.
    """
    reply, ids, logs = kept
    body = b"".join((reply.tobytes(), ids.tobytes(), logs.tobytes()))
    head = _RECORD.pack(key.encode(), len(reply), ids.shape[1], zlib.crc32(body))
    private_folder(path.parent)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        if os.write(descriptor, head + body) < len(head) + len(body):  # the disk is full
            os.ftruncate(descriptor, before)
    finally:
        os.close(descriptor)


def _read_part(path: Path) -> dict[str, Kept]:
    """Return the answers in a part file up to its end or the first damaged one."""
    found: dict[str, Kept] = {}
    try:
        with open_file(path) as file:
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                key, count, width, checksum = _RECORD.unpack(head)
                if not _KEY.fullmatch(key) or count > LONGEST + 1 or width > TOP:
                    break
                body = file.read(4 * count * (1 + 2 * width))
                if zlib.crc32(body) != checksum:
                    break
                numbers = np.frombuffer(body, np.int32)
                ids = numbers[count : count * (1 + width)].reshape(count, width)
                logs = numbers[count * (1 + width) :].view(np.float32).reshape(count, width)
                found[key.decode("ascii")] = (numbers[:count], ids, logs)
    except Exception:  # it is only a cache
        return found
    return found
