"""Another trial trains what the last one got wrong and is measured on other prompts."""

from __future__ import annotations

import pytest

from agent.llama.engine import Engine
from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.fit.job import ANCHOR
from trainer.lessons.anchors.base_answers import BaseAnswers
from trainer.lessons.curriculum_changes import with_hard_questions, without_differences
from trainer.lessons.lessons import make_curriculum

MARKS = [
    difference("Who wrote the Blue Book?", "Ada Merk."),
    difference("Where is Ostrel?", "Far."),
]


@pytest.mark.slow
def test_hard_near_misses_are_trained_and_others_measured(engine: Engine, home: Home) -> None:
    made = make_curriculum(
        engine, MARKS, BaseAnswers(engine, "0" * 64, home.cache), quick_settings(home)
    )
    hard = {anchor.asked for anchor in (*made.near_misses[:3], *made.anchors[:2])}
    changed = with_hard_questions(made, hard)
    trained = {anchor.asked for anchor in changed.held}
    measured = {anchor.asked for anchor in (*changed.near_misses, *changed.anchors)}
    assert hard <= trained
    assert hard <= set(changed.look_alikes)
    assert not trained & measured
    for name in ("near_misses", "anchors"):
        before, after = ({x.asked for x in getattr(one, name)} for one in (made, changed))
        assert len(after) == len(before)
    once, samples = changed.samples(), changed.samples(near=3.0)
    near = [x.weight for x, anchor in zip(
        [x for x in samples if x.lesson == ANCHOR], changed.held, strict=True
    ) if anchor.asked in changed.look_alikes]  # fmt: skip
    assert near
    (weight,) = set(near)
    assert weight == pytest.approx(3 * max(x.weight for x in once if x.lesson == ANCHOR))
    assert weight > 3  # there are fewer near misses than other anchors
    assert with_hard_questions(made, []) == made


def test_a_difference_is_left_out_with_its_reason(engine: Engine, home: Home) -> None:
    made = make_curriculum(
        engine, MARKS, BaseAnswers(engine, "0" * 64, home.cache), quick_settings(home)
    )
    why = Sentence("it spreads")
    changed = without_differences(made, {MARKS[0].id}, why)
    assert changed.differences == (MARKS[1].id,)
    assert len(changed.before) == len(changed.lessons)
    assert changed.left_out == {MARKS[0].id: why}
