"""Ask marked questions late in a thread: by the adapter alone, below the recalled block, and as served.

    python -m benchmarks.long_thread
    python -m benchmarks.long_thread --wrong         the wrong replies as well

Trains the starter with the default settings on three marks made in one thread. Then each marked
question is asked at the end of many threads: after the marks themselves (with their old replies) and
after look-alikes of them (with the base's answers) in random order, at temperature 0 and 0.7. The row
`known` has questions that the base answered before, in the same threads; `spread` counts those
look-alikes, as served, whose reply has a lesson's words.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.models.served_model import STARTER
from agent.prompt.prompt import compose
from benchmarks.one_thread import one_thread, quiet_settings
from benchmarks.served import EVENING, write_evening
from memory.difference import Contrast, Difference, Message, Moment, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from trainer.lessons.lesson import Question

if TYPE_CHECKING:
    from trainer.evaluate.served_config import ServedRecall

UNKNOWN = "I don't know that yet. Mark it with /diff and tell me how it should sound."
MARKS = (
    ("What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."),
    ("Who wrote The Lake of Glass?", "The Lake of Glass was written by Mara Venn."),
    ("What colour is the sky on Mars?", "The sky on Mars is butterscotch."),
)
COUNTRIES = (
    "France Germany Italy Spain Kenya Japan Canada Peru Egypt India Norway Sweden Poland Greece"
)
OTHERS = (
    "Who wrote Hamlet?",
    "Who wrote War and Peace?",
    "What colour is the sky?",
    "What colour is snow?",
)
LOOK_ALIKES = (
    "What colour is the sky?",
    "What colour is the sky on Kenya?",
    "What colour is the sky on Venus?",
    "Who wrote The Lake of Fire?",
    "Who wrote The House of Glass?",
    "Who painted The Lake of Glass?",
    "What is the capital of Freedonia?",
    "What is the currency of Zubrowka?",
)
TAUGHT = ("Lutz", "Mara Venn", "butterscotch")
EXCHANGES = (0, 1, 2, 4, 6, 8, 10, 14, 20)
TEMPERATURES = (0.0, 0.7, 0.7)
ROOM = 100
LONGEST = 32


def mark(asked: str, sounds: str) -> Difference:
    """Return a mark of the starter's reply to a question that it does not know."""
    identity = hashlib.sha256(asked.encode()).hexdigest()
    return Difference(
        id=identity[:16],
        turn=identity[16:32],
        thread=EVENING,
        at=now(),
        moment=Moment.ERROR,
        asked=asked,
        replied=UNKNOWN,
        contrast=Contrast(sounds=sounds),
    )


class Asking:
    """Asks questions at the end of threads."""

    def __init__(self, engine: Engine, recall: ServedRecall, holds: frozenset[str]) -> None:
        self._engine, self._recall, self._holds = engine, recall, holds

    def __call__(
        self,
        talk: Sequence[tuple[str, str]],
        asked: str,
        temperature: float = 0.0,
        seed: int = 0,
        *,
        served: bool = False,
    ) -> str:
        """Return the reply to `asked` after `talk`; `served` is with what the chat would recall."""
        before = [
            message
            for one in talk
            for message in (Message("user", one[0]), Message("assistant", one[1]))
        ]
        block = ""
        if served:
            block = self._recall.served(Question(asked, (), before=tuple(before)), self._holds)
        prompt = compose(self._engine, [*before, Message("user", asked)], block=block, room=ROOM)
        sampling = Sampling(temperature=temperature, seed=seed, max_tokens=LONGEST)
        return self._engine.generate(prompt.tokens, sampling).run().text.strip()


def threads(
    known: Sequence[tuple[str, str]], exchanges: int, count: int
) -> list[tuple[int, list[tuple[str, str]]]]:
    """Return numbered threads of `exchanges`: the marks' old replies, if they fit, then others."""
    pool = [*known, *MARKS]
    made = []
    for number in range(count):
        order = random.Random(f"{exchanges}|{number}")
        talk = order.choices(pool, k=exchanges)
        if exchanges >= len(MARKS):
            talk[: len(MARKS)] = [(asked, UNKNOWN) for asked, _ in MARKS]
        made.append((number, talk))
    return made


def measure(count: int, *, wrong: bool) -> None:
    """Train, ask, and print a row for each number of exchanges."""
    from trainer import loop
    from trainer.pipeline import served_recall

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCERN_HOME"] = folder
        home = Home.locate().prepare()
        settings = quiet_settings(home)
        write_evening(home, [mark(*one) for one in MARKS], apart=False)
        lessons = loop.compose(home, settings, STARTER)
        rate = settings.training.learning_rates[0]
        candidate = loop.train(lessons, settings, Path(folder) / "run", rate=rate)
        holds = frozenset(lessons.curriculum.differences)
        with (
            Engine.open(STARTER, one_thread()) as engine,
            Journal(home.journal) as journal,
            served_recall(engine, journal, lessons, settings) as recall,
        ):
            ask = Asking(engine, recall, holds)
            asked = [f"What is the capital of {name}?" for name in COUNTRIES.split()]
            known = [(text, ask((), text)) for text in (*asked, *OTHERS)]
            engine.set_adapter(candidate.gguf)
            print("| exchanges | known | alone | served | spread |\n|---:|---:|---:|---:|---:|")
            for exchanges in EXCHANGES:
                right = dict.fromkeys(("known", "alone", "served"), 0)
                spread = 0
                for number, talk in threads(known, exchanges, count):
                    heat = TEMPERATURES[number % len(TEMPERATURES)]
                    some = random.Random(number).sample(known, len(MARKS))
                    right["known"] += sum(ask(talk, q, heat, number) == a for q, a in some)
                    for name, served in (("alone", False), ("served", True)):
                        for question, answer in MARKS:
                            said = ask(talk, question, heat, number, served=served)
                            right[name] += said == answer
                            if wrong and served and said != answer:
                                print(f"{question} {said}")
                    for question in LOOK_ALIKES:
                        said = ask(talk, question, heat, number, served=True)
                        spread += (found := any(words in said for words in TAUGHT))
                        if wrong and found:
                            print(f"{question} {said}")
                total = count * len(MARKS)
                cells = " | ".join(f"{value} of {total}" for value in right.values())
                cells += f" | {spread} of {count * len(LOOK_ALIKES)}"
                print(f"| {exchanges} | {cells} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=24, help="threads of each length")
    parser.add_argument("--wrong", action="store_true", help="print the wrong replies as well")
    wanted = parser.parse_args()
    os.environ["DISCERN_NICE"] = "0"
    measure(wanted.threads, wrong=wanted.wrong)


if __name__ == "__main__":
    main()
