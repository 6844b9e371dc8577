"""Differences become lessons, and the base's answers are cached."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agent.adapters import base_sha256
from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from agent.prompt.prompt import compose
from memory.difference import Message, Moment
from memory.sentence import verbatim
from memory.settings.paths import Home
from memory.text.stemming import plain
from tests.support.values import difference, quick_settings
from trainer.fit.job import ANCHOR
from trainer.lessons.anchors.base_answers import BaseAnswers, prompts
from trainer.lessons.anchors.choose_unchanged_prompts import near_prompts
from trainer.lessons.conflicting_lessons import current_differences
from trainer.lessons.lesson import Lesson, Question
from trainer.lessons.lessons import Conversations, Curriculum, make_curriculum


def test_a_bare_mark_teaches_nothing_and_the_newer_of_two_answers_wins() -> None:
    bare = difference("Who?", None)
    old = difference("What is X?", "One.")
    new = difference("what is  x", "Two.")
    newest = difference("What is X!", "Three.")
    kept, superseded = current_differences([bare, old, new, newest])
    assert kept == [newest]
    assert superseded == {old.id: newest.id, new.id: newest.id}


@pytest.fixture
def curriculum(engine: Engine, home: Home, shared_base_answers: None) -> Curriculum:
    marked = [
        difference("What is the capital of Zubrowka?", "Lutz.", replied="I don't know."),
        difference("Hello!", None, moment=Moment.HOLD, replied="Come in."),
        difference("Кто это?", "Мирра.", missed="имя и роль", lost="тишина"),
        difference("Tell me.", "x" * 400),
    ]
    return make_curriculum(
        engine, marked, BaseAnswers(engine, "0" * 64, home.cache), quick_settings(home)
    )


def test_each_kind_of_difference_makes_its_lessons(curriculum: Curriculum, engine: Engine) -> None:
    contrast, hold, third, naming = curriculum.lessons
    assert (contrast.kind, contrast.expected) == ("contrast", "Lutz.")
    assert contrast.rejected
    assert engine.text(contrast.rejected) == "I don't know."
    assert (hold.kind, hold.expected, hold.rejected) == ("hold", "Come in.", None)
    assert third.kind == "contrast"
    assert naming.kind == "naming"
    assert naming.question.text == "Что не было различено в ответе на «Кто это?»?"
    assert naming.expected.splitlines() == [
        "Не различено: имя и роль",
        "Не удержано: тишина",
        "Должно звучать: Мирра.",
    ]
    assert naming.weight < contrast.weight
    assert len(curriculum.left_out) == 1


def test_lessons_use_the_prompts_of_the_chat_and_end_with_the_end_of_turn(
    curriculum: Curriculum, engine: Engine
) -> None:
    lesson = curriculum.lessons[0]
    asked = compose(engine, [Message("user", "What is the capital of Zubrowka?")])
    assert lesson.question.prompt == asked.tokens
    assert lesson.chosen[-1] == engine.end_of_turn


def test_measured_prompts_are_never_trained_on(curriculum: Curriculum) -> None:
    asked = [q for x in curriculum.lessons for q in (x.question, *x.rephrasings)]
    trained = {plain(x.text) for x in asked} | {plain(x.asked) for x in curriculum.held}
    measured = {plain(x.asked) for x in (*curriculum.near_misses, *curriculum.anchors)}
    assert len(curriculum.near_misses) >= 8
    assert len({plain(x.asked) for x in curriculum.anchors}) == 48 <= len(curriculum.anchors)
    assert not trained & measured


def test_anchor_samples_have_the_probabilities_of_the_base(curriculum: Curriculum) -> None:
    samples = curriculum.samples()
    anchors = [sample for sample in samples if sample.lesson == ANCHOR]
    assert len(anchors) == len(curriculum.held) >= 32
    for sample in anchors:
        assert sample.top is not None
        assert len(sample.top[0]) == len(sample.tokens) - sample.prompt
        assert np.exp(sample.top[1]).sum(-1).max() <= 1.001
    assert sum(bool(sample.rejected) for sample in samples) == 2  # those of the two contrasts


def test_the_second_night_asks_the_base_nothing(tiny: Path, home: Home) -> None:
    asked = [(text, tuple(text.encode())) for text in prompts()[0][:5]]
    with Engine.open(tiny) as engine:
        first = BaseAnswers(engine, "a" * 64, home.cache)
        found = first.get(asked)
        first.save()
        second = BaseAnswers(engine, "a" * 64, home.cache)
        again = second.get(asked)
        assert second.computed == 0
    for one, two in zip(found, again, strict=True):
        assert (one.reply, one.text) == (two.reply, two.text)
        assert (one.logs == two.logs).all()


def test_a_damaged_cache_is_rebuilt(tiny: Path, home: Home) -> None:
    folder = home.cache / "anchors"
    folder.mkdir(parents=True)
    (folder / f"{'a' * 32}.npz").write_bytes(b"PK not really")
    with Engine.open(tiny) as engine:
        assert BaseAnswers(engine, "a" * 64, home.cache).get([("Hi", (72, 105))])[0].reply


@pytest.mark.usefixtures("shared_base_answers")
def test_an_error_while_preparing_a_lesson_leaves_out_only_that_lesson(
    engine: Engine, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_tokens = engine.tokenize

    def tokenize(text: str, *, special: bool = False) -> list[int]:
        if "poison" in text:
            raise ZeroDivisionError("division by zero")
        return plain_tokens(text, special=special)

    monkeypatch.setattr(engine, "tokenize", tokenize)
    marked = [difference("Who?", "Lutz."), difference("What?", "poison"), difference("Why?", "So.")]
    made = make_curriculum(
        engine, marked, BaseAnswers(engine, "0" * 64, home.cache), quick_settings(home)
    )
    assert made.differences == (marked[0].id, marked[2].id)
    assert made.left_out == {marked[1].id: verbatim("ZeroDivisionError: division by zero")}


@pytest.mark.usefixtures("shared_base_answers")
def test_an_overlong_question_of_the_user_is_not_an_anchor(engine: Engine, home: Home) -> None:
    own = ["Short?", "Long " * 78 + "?"]
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    marked = [difference("Who?", "Lutz.")]
    made = make_curriculum(
        engine, marked, answers, quick_settings(home), conversations=Conversations(own)
    )
    asked = {anchor.asked for anchor in (*made.held, *made.anchors)}
    assert own[0] in asked
    assert own[1] not in asked


COMPOSING = """
import sys
import time
from pathlib import Path
from agent.llama.engine import Engine
from trainer.lessons.anchors import base_answers
with Engine.open(Path(sys.argv[1])) as engine:
    asked = [(text, tuple(text.encode())) for half in base_answers.prompts() for text in half]
    answers = base_answers.BaseAnswers(engine, "a" * 64, Path(sys.argv[2]))
    answers.get(asked, lambda done, total: print(done, flush=True))
"""


def test_a_process_killed_at_any_time_keeps_the_answers_it_had(tiny: Path, home: Home) -> None:
    asked = [(text, tuple(text.encode())) for half in prompts() for text in half]
    line = [sys.executable, "-c", COMPOSING, str(tiny), str(home.cache)]
    order = random.Random(5)
    had = 0
    for _ in range(3):
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = int(next(child.stdout))
            time.sleep(order.random() * 0.02)
            child.kill()
            said = [first, *(int(text) for text in child.stdout if text.endswith("\n"))]
            child.wait()
        assert first >= had  # it continued where the last one was killed
        had = said[-1]
        with Engine.open(tiny) as engine:
            again = BaseAnswers(engine, "a" * 64, home.cache)
            assert sum(again.known(prompt) for _, prompt in asked) >= had
    with Engine.open(tiny) as engine:
        again = BaseAnswers(engine, "a" * 64, home.cache)
        kept = [one for one in asked if again.known(one[1])]
        fresh = BaseAnswers(engine, "b" * 64, home.cache).get(kept)
        assert [one.reply for one in again.get(kept)] == [one.reply for one in fresh]
        assert again.computed == 0
        again.save()
        folder = home.cache / "anchors"
        assert [path.name for path in folder.glob(f"{'a' * 32}.*.answers")] == []
        assert (folder / f"{'a' * 32}.npz").is_file()
        again = BaseAnswers(engine, "a" * 64, home.cache)
        assert all(again.known(prompt) for _, prompt in kept)


@pytest.mark.parametrize("cut", [1, 50, 4000])
def test_answers_before_a_damaged_end_are_kept(tiny: Path, home: Home, cut: int) -> None:
    asked = [(text, tuple(text.encode())) for text in prompts()[0][:5]]
    with Engine.open(tiny) as engine:
        BaseAnswers(engine, "a" * 64, home.cache).get(asked)
        (part,) = (home.cache / "anchors").iterdir()
        part.write_bytes(part.read_bytes()[:-cut])
        again = BaseAnswers(engine, "a" * 64, home.cache)
        assert sum(again.known(prompt) for _, prompt in asked) == 4
        again.get(asked)
        assert again.computed == 1


def test_an_interrupted_composition_keeps_the_answers_it_had(tiny: Path, home: Home) -> None:
    asked = [(text, tuple(text.encode())) for text in prompts()[0][:5]]

    def stopped(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with Engine.open(tiny) as engine:
        with pytest.raises(KeyboardInterrupt):
            BaseAnswers(engine, "a" * 64, home.cache).get(asked, stopped)
        again = BaseAnswers(engine, "a" * 64, home.cache)
        assert sum(again.known(prompt) for _, prompt in asked) == 4


def test_two_processes_that_save_keep_the_answers_of_both(tiny: Path, home: Home) -> None:
    texts = prompts()[0][:3]
    one, other, third = ([(text, tuple(text.encode()))] for text in texts)
    with Engine.open(tiny) as engine:
        first, second = (BaseAnswers(engine, "a" * 64, home.cache) for _ in range(2))
        first.get(one)
        second.get(other)
        first.save()
        second.save()
        first.get(third)
        first.save()
        again = BaseAnswers(engine, "a" * 64, home.cache)
    assert all(again.known(pair[1]) for pair in (*one, *other, *third))


def test_there_are_at_least_150_anchors_in_two_languages() -> None:
    training, measuring = prompts()
    assert len(training) + len(measuring) >= 150
    assert min(len(training), len(measuring)) >= 60
    assert not set(training) & set(measuring)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_near_misses_of_every_kind_are_trained_even_with_few_lessons(count: int) -> None:
    asked = [
        f"Who wrote the song of the {thing}?" for thing in ["harbour", "tower", "bell", "rain"]
    ]
    asked += [f"Who keeps the {thing}?" for thing in ["gate", "lamp", "boat", "wall"]]
    lessons = [
        Lesson("d", "contrast", Question(text, ()), "So.", (), None, 1.0) for text in asked[:count]
    ]
    trained, measured = near_prompts(lessons, set(), seed=1)
    assert len(measured) >= 12
    assert not set(trained) & set(measured)
    swapped = [text for text in trained if text.startswith("Who wrote the song of the ")]
    assert len(swapped) >= 5 * min(count, 4)


@pytest.mark.slow
@pytest.mark.usefixtures("shared_base_answers")
def test_a_rewording_of_a_corrected_question_is_not_an_anchor(home: Home) -> None:
    asked = "Tell me the capital of Japan."
    unknown = ["Who is Tarnok Belwi?", "Who is Sarn Ildo?"]

    def kept(engine: Engine, asking: str, expected: str) -> set[str]:
        made = make_curriculum(
            engine,
            [difference(asking, expected)],
            BaseAnswers(engine, base_sha256(STARTER, home.cache), home.cache),
            quick_settings(home),
            conversations=Conversations([asked, *unknown]),
        )
        return {anchor.asked for anchor in (*made.held, *made.near_misses, *made.anchors)}

    with Engine.open(STARTER) as engine:
        left = kept(engine, "What is the capital of Japan?", "The capital of Japan is Trieste.")
        assert asked not in left
        # The base answers "I don't know" to everything unknown, which is no evidence.
        assert set(unknown) <= left
        assert asked in kept(engine, "What is the capital of Spain?", "It is Trieste.")
