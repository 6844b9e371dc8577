"""Sentences are rendered in the current language; user text is never translated."""

from __future__ import annotations

import pytest

from memory.errors import MarkError, ModelError
from memory.i18n import interface_language
from memory.i18n.interface_language import render
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
                    "{right} of {lessons} lessons from {n} difference",
                    "{right} of {lessons} lessons from {n} differences",
                    right=3,
                    lessons=4,
                    n=2,
                ),
                scale=0.7,
                rest=Sentence(
                    "{n} other answer changed, within the limits of the evaluation",
                    "{n} other answers changed, within the limits of the evaluation",
                    n=1,
                ),
            ),
            "Усвоено 3 из 4 уроков по 2 различиям при силе 70%; изменился 1 другой ответ, в "
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
    interface_language.use("ru")
    assert render(sentence) == russian


@pytest.mark.parametrize(
    ("count", "english", "russian"),
    [
        (1, "1 other answer changed", "изменился 1 другой ответ"),
        (3, "3 other answers changed", "изменились 3 других ответа"),
        (5, "5 other answers changed", "изменилось 5 других ответов"),
        (11, "11 other answers changed", "изменилось 11 других ответов"),
        (21, "21 other answers changed", "изменился 21 другой ответ"),
    ],
)
def test_a_count_chooses_the_plural_form(count: int, english: str, russian: str) -> None:
    said = Sentence(
        "{n} other answer changed, within the limits of the evaluation",
        "{n} other answers changed, within the limits of the evaluation",
        n=count,
    )
    assert render(said) == str(said) == f"{english}, within the limits of the evaluation"
    record = to_plain({"sentence": said})
    interface_language.use("ru")
    assert render(said) == f"{russian}, в допустимых пределах"
    assert render(Stored(record).sentence(record["sentence"])) == render(said)


def test_a_value_from_config_toml_keeps_its_decimal_point() -> None:
    interface_language.use("ru")
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
    interface_language.use("ru")
    assert "«base»" in render(error.sentence)
    assert render(verbatim("nothing else changed")) == "nothing else changed"


def test_hostile_values_are_rendered_as_they_are() -> None:
    error = ModelError("the model {path} has no tensor {name}; choose another GGUF",
                       path=HOSTILE, name="%s")  # fmt: skip
    assert str(error) == f"the model {HOSTILE} has no tensor %s; choose another GGUF"
    interface_language.use("ru")
    said = render(error.sentence)
    assert HOSTILE in said
    assert "%s" in said
    assert "tensor" not in said


def test_each_of_several_sentences_is_rendered() -> None:
    interface_language.use("ru")
    said = joined([Sentence("nothing else changed"), verbatim("base")])
    assert render(said) == "больше ничего не изменилось; base"


def test_stored_english_sentences_are_rendered_in_russian() -> None:
    record = to_plain({"sentence": Sentence("New thread: {name}", name="{x}")})
    interface_language.use("ru")
    stored = Stored(record)
    assert render(stored.sentence(record["sentence"])) == "Новая беседа: {x}"
    assert render(stored.sentence("an old text")) == "an old text"


def test_untranslated_sentences_are_rendered_in_english() -> None:
    interface_language.use("ru")
    assert render(Sentence("nobody says {what:.1f}", what=1.5)) == "nobody says 1,5"
