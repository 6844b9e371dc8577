"""A step samples what still needs training, every sample is drawn, and a seed determines the draws."""

from __future__ import annotations

import pytest

from trainer.fit.batch_sampler import Sampler, Standing
from trainer.fit.job import ANCHOR, Sample

LESSONS = [Sample((1, 2), 1, number, difference=str(number)) for number in range(40)]
ANCHORS = [Sample((1, 2), 1, ANCHOR) for _ in range(40)]


def test_every_sample_is_drawn_and_none_twice_in_a_step() -> None:
    sampler = Sampler(LESSONS, ANCHORS, 1)
    seen: set[Sample] = set()
    for _ in range(25):
        some, held = sampler.draw(8, 8)
        assert len(set(some)) == len(set(held)) == 8
        sampler.record_margins(some, [3.0] * 8)
        sampler.record_divergences(held, [0.0] * 8)
        seen |= {*some, *held}
    assert len(seen) == 80
    assert sampler.share == 1.0
    assert sampler.standing(ANCHORS).drift == 0.0


def test_wrong_lessons_and_changed_anchors_are_drawn_most_often() -> None:
    sampler = Sampler(LESSONS, ANCHORS, 1)
    sampler.record_margins(LESSONS, [-1.0] * 8 + [5.0] * 32)
    sampler.record_divergences(ANCHORS, [0.5] * 8 + [0.0] * 32)
    assert sampler.share == 0.8
    assert sampler.standing(ANCHORS).drift == pytest.approx(0.1)
    draws = [sampler.draw(8, 8) for _ in range(100)]
    wrong = sum(sample in LESSONS[:8] for some, _ in draws for sample in some)
    moved = sum(sample in ANCHORS[:8] for _, held in draws for sample in held)
    assert 450 < wrong < 790
    assert 450 < moved < 790


def test_fewer_samples_than_wanted_are_all_drawn() -> None:
    some, held = Sampler(LESSONS[:1], [], 1).draw(8, 8)
    assert (some, held) == (LESSONS[:1], [])


def test_the_seed_determines_the_draws_and_margins_are_reported_by_difference() -> None:
    one, other = (Sampler(LESSONS, ANCHORS, 7) for _ in range(2))
    assert [one.draw(4, 4) for _ in range(9)] == [other.draw(4, 4) for _ in range(9)]
    one.record_margins(LESSONS[:2], [1.0, -2.0])
    assert one.margins(LESSONS[:1]) == {"0": 1.0}


def test_a_lessons_result_covers_its_question_and_its_correct_wordings() -> None:
    first, second = (Sample(tokens=(1, n), prompt=1, lesson=4, variant=n) for n in (0, 1))
    sampler = Sampler([first, second, *LESSONS], ANCHORS, 1)
    sampler.record_margins([second], [0.5])
    assert sampler.lessons([second]) == {4: (None, 1, 1)}
    sampler.record_margins([first], [-1.004])
    assert sampler.lessons([second]) == {4: (-1.0, 1, 2)}


def test_a_panel_has_the_questions_as_asked_and_is_settled_by_their_results() -> None:
    asked, reworded = LESSONS[0], Sample((1, 2), 1, 0, variant=1)
    sampler = Sampler([asked, reworded], ANCHORS, 1)
    some = sampler.panel(20, 1)
    assert some == Sampler([asked, reworded], ANCHORS, 2).panel(20, 1)
    assert some[0] == asked
    assert len(set(some)) == 20
    assert some != sampler.panel(20, 2)
    assert set(sampler.panel(100, 1)) == {asked, reworded, *ANCHORS}
    assert not sampler.standing([asked]).settled
    sampler.record_margins([asked, reworded], [0.1, -0.1])
    sampler.record_divergences(ANCHORS, [0.0] * 39 + [1.0])
    assert sampler.standing([asked, *ANCHORS[:39]]).settled
    assert not sampler.standing([asked, *ANCHORS]).settled
    assert not sampler.standing([asked, reworded]).settled
    assert sampler.standing([asked, reworded]).learned == 0.5
    assert sampler.standing([asked]).firm == 0.0


def test_a_state_is_better_if_more_is_learned_and_unchanged_then_if_less_drifts() -> None:
    states = [
        Standing(0.5, 0.5, 0.5, 1.0, 0.0),
        Standing(1.0, 1.0, 1.0, 0.9, 0.2),
        Standing(1.0, 1.0, 1.0, 0.9, 0.1),
        Standing(1.0, 1.0, 1.0, 1.0, 0.3),
    ]
    assert sorted(states, key=lambda state: state.score) == states
