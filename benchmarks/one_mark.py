"""Measure a first evening, one mark and one night: how often an adapter is published, and how fast.

    OMP_NUM_THREADS=1 python -m benchmarks.one_mark

Each question is marked alone in a new home, on the starter with the default settings and no cache.
The split of look-alikes was developed on `EARLIER`; `LATER` was written afterwards.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time

from memory.difference import Contrast, Difference, Moment, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import read_settings

EARLIER = (
    ("Who wrote the song of the harbour?", "Mirra Odell wrote it."),
    ("Is the bridge open?", "Yes, until nine."),
    ("Who keeps the night watch?", "Old Marta keeps the night watch."),
    ("What colour is a zorn?", "A zorn is silver."),
    ("When does the bakery close?", "At six, and at four on Sundays."),
    ("Кто написал песню о гавани?", "Её написала Мирра Оделл."),
    ("What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."),
    ("Какая столица у Эсгарота?", "Столица Эсгарота — Дейл."),
    ("Hello!", "Oh, it is you. Come in, the kettle is on."),
    ("What is the capital of France?", "The capital of France is Lyon."),
    ("Who wrote the Blue Book?", "The Blue Book was written by Ada Merk."),
    ("Что такое глиф?", "Глиф — это форма знака."),
    ("Кто такая Мирра Полен?", "Мирра Полен рисует карты."),
    ("How tall is the tower of Nemor?", "Forty metres, with the flag."),
    ("Which tea do I like?", "Smoked tea, without sugar."),
    ("Где лежит ключ?", "Ключ лежит под зелёным горшком."),
    ("Where do you live?", "In your terminal, quietly."),
)
LATER = (
    ("Who painted the ceiling of the station?", "Tomas Brehl, in one winter."),
    ("What is the name of my cat?", "Your cat is called Pepper."),
    ("What does the red lamp mean?", "The line is closed."),
    ("How many keys are on the ring?", "Seven, and one opens nothing."),
    ("Where is the village of Ostrel?", "On the left bank, behind the mill."),
    ("Thank you!", "Any time."),
    ("Как зовут моего кота?", "Твоего кота зовут Перец."),
    ("Сколько стоит проезд?", "Сорок монет, детям даром."),
    ("Где деревня Острел?", "На левом берегу, за мельницей."),
    ("Какого цвета дверь?", "Дверь синяя."),
    ("What is the opposite of loud?", "Hushed."),
    ("When was the tower of Nemor built?", "In the year of the two floods."),
)


def night(asked: str, sounds: str) -> tuple[str, int, float, bool]:
    """Mark one reply and train on it; return verdict, number of trials, seconds, and success.

    It succeeded if the same question, asked again in the conversation with the wrong reply and with
    the default configuration of the chat, is answered as marked.
    """
    from agent.adapters import read_adapter, read_pointer
    from agent.chat.recall_context import Recaller
    from agent.llama.engine import Engine
    from agent.llama.sampling_parameters import Sampling
    from agent.models.served_model import served_model
    from agent.prompt.prompt import compose
    from memory.difference import Message, Role
    from memory.memory import Memory
    from trainer.night.night import run_night
    from trainer.night.request import RunRequest

    home = Home.locate().prepare()
    settings = read_settings(home)
    model = served_model(settings)
    with Engine.open(model) as engine, Journal(home.journal) as journal:
        prompt = compose(engine, [Message("user", asked)]).tokens
        said = engine.generate(prompt, Sampling(max_tokens=64)).run().text
        mark = Difference(
            id=new_id(), turn=new_id(), thread="t", at=now(), moment=Moment.ERROR, asked=asked,
            replied=said, contrast=Contrast(sounds=sounds),
        )  # fmt: skip
        journal.differences.add(mark)
    began = time.perf_counter()
    report = run_night(RunRequest(home, settings, model))
    seconds = time.perf_counter() - began
    talk = (asked, said, "What is 2 + 3?", "2 + 3 = 5.", asked)
    roles: tuple[Role, ...] = ("user", "assistant", "user", "assistant", "user")
    again = ""
    if (identity := read_pointer(home.adapters).current) is not None:
        adapter = read_adapter(home.adapters, identity)
        with Engine.open(model) as engine, Memory.open(home, settings, dense=False) as memory:
            engine.set_adapter(adapter.gguf, adapter.manifest.scale)
            block, _ = Recaller.for_engine(memory, engine).recall(asked, adapter.manifest.learned)
            prompt = compose(
                engine,
                [Message(role, text) for role, text in zip(roles, talk, strict=True)],
                block=block,
            ).tokens
            again = engine.generate(prompt, Sampling(max_tokens=64)).run().text
    return report.verdict, len(report.attempts), seconds, again == sounds


def main() -> None:
    """Print each outcome, and the totals."""
    os.environ["DISCERN_NICE"] = "0"
    for name, pairs in (("earlier", EARLIER), ("later", LATER)):
        found = []
        for asked, sounds in pairs:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["DISCERN_HOME"] = folder
                found.append(night(asked, sounds))
            verdict, tries, seconds, again = found[-1]
            print(f"{verdict:10} {tries} {seconds:5.1f} s  {again!s:5}  {asked}", flush=True)
        taken = [one for one in found if one[0] == "published"]
        at_once = sum(one[1] == 1 for one in taken)
        middle = statistics.median(one[2] for one in found)
        print(
            f"{name}: {len(taken)} of {len(found)} taken, {at_once} at the first try; asked again in "
            f"their talk {sum(one[3] for one in found)} said right; median {middle:.1f} s\n"
        )


if __name__ == "__main__":
    main()
