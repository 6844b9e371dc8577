"""Changed answers: noise or harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.models.served_model import STARTER
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.evaluate.metrics import Held
from trainer.gate.answer_changes import NO_NOISE, ChangeJudge, measure_noise, refuses
from trainer.gate.spillover import Spread
from trainer.lessons.anchors.base_answers import Anchor, BaseAnswers
from trainer.lessons.lesson import Asker, Lesson, Question

LESSON = Lesson(
    "d" * 16, "contrast", Question("Who keeps the gate?", ()), "Old Marta keeps it.", (), None, 1.0
)
NOTHING = np.zeros((0, 1), np.int32), np.zeros((0, 1), np.float32)


def anchor(asked: str, text: str, reply: tuple[int, ...] = ()) -> Anchor:
    return Anchor(asked, (1,), text, reply, *NOTHING)


def held(text: str | None, gap: float, *, sound: bool = True, ended: bool = True) -> Held:
    return Held(False, False, 0.0, 0.0, 1, text, sound, ended, gap)


@pytest.fixture
def judge(engine: Engine) -> ChangeJudge:
    return ChangeJudge(engine, Spread([LESSON], ["I don't know."]), NO_NOISE)


def test_a_change_between_nearly_equal_tokens_is_noise_and_a_clear_one_is_not(
    judge: ChangeJudge,
) -> None:
    asked = anchor("What is a quark?", "A particle.")
    for gap, noise in ((0.3, True), (3.0, False), (float("inf"), False)):
        (change,) = judge.changes([asked], [held("A grain.", gap)], near=False)
        assert change.undecided == noise
        assert not change.harm
    assert judge.changes([asked], [Held(True, True, 0, 0, 1, "", True)], near=False) == []


@pytest.mark.parametrize(
    ("asked", "before", "after", "harm"),
    [
        ("What is the capital of Peru?", "It is Lima.", "It is Cusco.", "wrong"),
        ("What is a quark?", "A particle.", "I'm sorry, I can't say.", "refusal"),
        ("What is a quark?", "I don't know.", "I do not know that.", ""),
        ("Что такое глиф?", "Форма знака.", "Я не знаю.", "refusal"),
        ("Какой цвет у снега?", "Снег белый.", "Этого я пока не знаю.", "refusal"),
    ],
)
def test_a_change_for_the_worse_counts_even_if_the_base_was_undecided(
    judge: ChangeJudge, asked: str, before: str, after: str, harm: str
) -> None:
    (change,) = judge.changes([anchor(asked, before)], [held(after, 0.3)], near=False)
    assert change.harm == harm
    assert change.undecided == (not harm)


def test_an_answer_that_the_base_gives_as_often_is_not_harm(judge: ChangeJudge) -> None:
    asked = anchor("What is a quark?", "A particle.")
    (change,) = judge.changes([asked], [held("I don't know.", 0.02)], near=False)
    assert not change.harm
    assert change.undecided


def test_the_words_of_a_lesson_always_count_and_name_its_difference(judge: ChangeJudge) -> None:
    asked = anchor("Who keeps the boat?", "I don't know.")
    (change,) = judge.changes([asked], [held("Old Marta keeps it.", 0.1)], near=True)
    assert change.spread
    assert change.difference == LESSON.difference
    assert not change.undecided


def test_a_reply_without_an_end_counts(judge: ChangeJudge) -> None:
    asked = anchor("What is a quark?", "A particle.")
    (change,) = judge.changes([asked], [held("p p p p", 0.1, ended=False)], near=False)
    assert change.harm == "form"


def test_a_continued_reply_is_tolerated_if_the_base_could_continue_it(home: Home) -> None:
    with Engine.open(STARTER) as engine:
        prompt = Asker(engine, quick_settings(home))("What can you do?").prompt
        reply = tuple(engine.generate(prompt, Sampling(max_tokens=6)).run().tokens)
        asked = Anchor("What can you do?", prompt, "…", reply, *NOTHING)
        judge = ChangeJudge(engine, Spread([], []), NO_NOISE)
        (own,) = judge.changes([asked], [held(engine.text(reply), 2.0)], near=False)
        (other,) = judge.changes([asked], [held("zzqx" * 6, 2.0)], near=False)
    assert own.undecided
    assert not other.undecided


def test_a_lessons_form_counts_where_the_base_was_undecided_unless_it_would_say_so_itself(
    home: Home,
) -> None:
    taught = replace(LESSON, expected="The capital of Zubrowka is Lutz.")
    with Engine.open(STARTER) as engine:
        judge = ChangeJudge(engine, Spread([taught], ["I don't know."]), NO_NOISE)
        prompt = Asker(engine, quick_settings(home))("What is the capital of Italy?").prompt
        asked = Anchor("What is the capital of Italy?", prompt, "I don't know.", (5,), *NOTHING)
        own = engine.text(engine.generate(prompt, Sampling(temperature=0.0)).run().tokens)
        assert own.startswith("The capital of Italy is")
        (itself,) = judge.changes([asked], [held(own, 0.1)], near=True)
        (other,) = judge.changes([asked], [held("The capital of Italy is gold.", 0.1)], near=True)
    assert not itself.spread
    assert other.spread
    assert other.difference == LESSON.difference


def test_a_changed_answer_whose_text_is_unknown_counts(judge: ChangeJudge) -> None:
    (change,) = judge.changes(
        [anchor("What is a quark?", "A particle.")], [held(None, 0.8)], near=True
    )
    assert not change.undecided


def test_refusals() -> None:
    assert refuses("I’m sorry, but no.")
    assert refuses("К сожалению, я не знаю.")
    assert not refuses("I can do it.")


def test_the_base_varies_little_between_batches(engine: Engine, home: Home) -> None:
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    ask = Asker(engine, quick_settings(home))
    texts = ["Who?", "Where are we?", "What is a quark?"]
    noise = measure_noise(engine, answers.get([(text, ask(text).prompt) for text in texts]))
    assert noise.kl < 1e-3
    assert noise.changed <= 1 / 3
    assert noise.margin >= NO_NOISE.margin
