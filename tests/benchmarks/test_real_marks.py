"""The marks for real weights are well-formed and distinct from each other and from training data."""

from __future__ import annotations

from collections import Counter

from benchmarks.real_marks import RealMark, long_talk, real_marks, unrelated
from memory.text.stemming import plain
from trainer.lessons.anchors.base_answers import prompts
from trainer.lessons.rephrase import rephrase


def test_there_are_fifty_marks_of_many_kinds_and_both_subsets_are_balanced() -> None:
    assert len(real_marks()) == 50
    kinds = {"fact", "name", "date", "correction", "tone", "length", "form", "code", "refusal"}
    assert {mark.theme for mark in real_marks()} == kinds
    assert {mark.theme for mark in real_marks(10)} == kinds
    assert {mark.theme for mark in real_marks(10, dev=True)} == kinds
    assert not {mark.asked for mark in real_marks(10)} & {
        mark.asked for mark in real_marks(10, dev=True)
    }
    assert len(unrelated()) == 40
    assert len(unrelated(dev=True)) == 20
    assert len(long_talk()) == 20


def test_every_mark_has_three_wordings_three_near_misses_and_a_key_in_its_reply() -> None:
    for mark in real_marks():
        assert (len(mark.again), len(mark.near)) == (3, 3)
        assert mark.said_in(mark.sounds)
        assert mark.marked("Something else.").teaches


def test_no_text_has_two_purposes() -> None:
    texts = [text for mark in real_marks() for text in (mark.asked, *mark.again, *mark.near)]
    texts += [*unrelated(), *unrelated(dev=True)]
    assert [text for text, times in Counter(map(plain, texts)).items() if times > 1] == []


def test_evaluation_prompts_are_not_trained_on() -> None:
    shipped = {plain(line) for half in prompts() for line in half}
    for mark in real_marks():
        made = rephrase(mark.asked)
        trained = {plain(text) for text in (*made.training, *made.held_out)} | shipped
        assert not {plain(text) for text in (*mark.again, *mark.near)} & trained
    assert not {plain(text) for text in unrelated()} & shipped


def test_a_mark_counts_as_learned_only_if_the_base_does_not_give_the_answer() -> None:
    mark = real_marks(1)[0]
    assert mark.carried_by("It was ines calloway.", "I don't know.")
    assert not mark.carried_by("It was Ines Calloway.", "Ines Calloway did.")
    assert not mark.carried_by("Somebody else.", "I don't know.")


def test_marks_are_asked_late_in_the_conversation() -> None:
    places = [place for place, turn in enumerate(long_talk()) if isinstance(turn, RealMark)]
    assert len(places) >= 6
    assert min(places) >= 9
