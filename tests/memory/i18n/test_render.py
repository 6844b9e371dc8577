"""Sentences are rendered in the language in force; what a person wrote never is."""

from __future__ import annotations

import pytest

from memory.errors import MarkError, ModelError
from memory.i18n import translation
from memory.i18n.render import render
from memory.sentence import Sentence, Stored, joined, to_plain, verbatim

HOSTILE = '{x} {0} {} 100% [bold]red[/] <b> it\'s "so" base recall'


@pytest.mark.parametrize(
    ("sentence", "russian"),
    [
        (
            Sentence(
                "there is no kind of difference named {shown!r}; {hint}",
                shown="tru.h",
                hint=Sentence("did you mean {near}?", near="form"),
            ),
            "вида различия «tru.h» нет; возможно, form?",
        ),
        (
            Sentence(
                "Learned {learnt} at {scale:.0%} strength; {rest}.",
                learnt=Sentence(
                    "{right} of {lessons} lessons from {count} difference{s}",
                    right=3,
                    lessons=4,
                    count=2,
                    s="s",
                ),
                scale=0.7,
                rest=Sentence(
                    "{moved} other answer{s} changed, within the limits of the evaluation",
                    moved=1,
                    s="",
                ),
            ),
            "Усвоено 3 из 4 уроков (различий: 2) при силе 70%; изменилось других ответов: 1, в "
            "допустимых пределах.",
        ),
        (
            Sentence(
                "building the index{share}; using keyword search only until it is ready",
                share=Sentence(" ({done:,} of {total:,})", done=1200, total=3000),
            ),
            "индекс строится (1\xa0200 из 3\xa0000); пока он не готов, поиск только по "
            "ключевым словам",
        ),
        (
            Sentence(
                "distance from the base model: {kl:.4f} nats per token (at most {threshold:g})",
                kl=0.0123,
                threshold=0.05,
            ),
            "расстояние от базовой модели: 0,0123 нат на токен (не больше 0,05)",
        ),
    ],
)
def test_a_sentence_is_rendered_with_its_values(sentence: Sentence, russian: str) -> None:
    assert render(sentence) == str(sentence)
    translation.use("ru")
    assert render(sentence) == russian


def test_a_value_from_config_toml_keeps_its_decimal_point() -> None:
    translation.use("ru")
    said = render(
        Sentence(
            "Not tried yet: training.learning_rates = [{rate}].",
            rate="0.003",
        )
    )
    assert "0.003" in said


def test_user_text_is_rendered_unchanged() -> None:
    error = MarkError(
        "the quoted part {quote!r} is not in the reply; select it again", quote="base"
    )
    translation.use("ru")
    assert "«base»" in render(error.sentence)
    assert render(verbatim("nothing else changed")) == "nothing else changed"


def test_hostile_values_are_rendered_as_they_are() -> None:
    error = ModelError("the model {path} has no tensor {name}; choose another GGUF",
                       path=HOSTILE, name="%s")  # fmt: skip
    assert str(error) == f"the model {HOSTILE} has no tensor %s; choose another GGUF"
    translation.use("ru")
    said = render(error.sentence)
    assert HOSTILE in said
    assert "%s" in said
    assert "tensor" not in said


def test_each_of_several_sentences_is_rendered() -> None:
    translation.use("ru")
    said = joined([Sentence("nothing else changed"), verbatim("base")])
    assert render(said) == "больше ничего не изменилось; base"


def test_stored_english_sentences_are_rendered_in_russian() -> None:
    record = to_plain({"sentence": Sentence("New thread: {name}", name="{x}")})
    translation.use("ru")
    stored = Stored(record)
    assert render(stored.sentence(record["sentence"])) == "Новая беседа: {x}"
    assert render(stored.sentence("an old text")) == "an old text"


def test_untranslated_sentences_are_rendered_in_english() -> None:
    translation.use("ru")
    assert render(Sentence("nobody says {what:.1f}", what=1.5)) == "nobody says 1,5"
