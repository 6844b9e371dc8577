"""The catalogue says all that the code says, once, whole, and as the language asks for it."""

from __future__ import annotations

from string import Formatter

import pytest
from babel.messages.catalog import Message

from memory.i18n import i18n
from memory.i18n.retold import retold
from scripts.messages import compiled, po_file, read, template, translations

CATALOGUE = [item for item in read("ru") if item.id]


def _holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _originals(item: Message) -> tuple[str, ...]:
    return tuple(item.id) if isinstance(item.id, list | tuple) else (item.id,)


def test_it_holds_what_the_code_says_and_nothing_else() -> None:
    wanted = {(item.context, item.id) for item in template() if item.id}
    assert wanted == {(item.context, item.id) for item in CATALOGUE}, "run make messages"


def test_nothing_is_untranslated_or_only_guessed() -> None:
    assert [item.id for item in CATALOGUE if not all(translations(item)) or item.fuzzy] == []


def test_what_is_counted_has_the_three_forms_of_russian() -> None:
    for item in CATALOGUE:
        assert len(translations(item)) == (3 if isinstance(item.id, tuple) else 1), item.id


def test_a_translation_names_the_values_of_its_original() -> None:
    for item in CATALOGUE:
        # An English plural's s has no place in Russian; a text that counts takes its n from `trn`.
        wanted = {name for text in _originals(item) for name in _holes(text)} - {"s"}
        for said in translations(item):
            assert _holes(said) - {"n"} == wanted - {"n"}, item.id
            assert ("n" in _holes(said)) == ("n" in wanted), item.id


def test_a_translation_begins_and_ends_as_its_original_does() -> None:
    """It stands in the same places: a sentence stays a sentence, a part of one its part."""
    for item in CATALOGUE:
        original = _originals(item)[0]
        for said in translations(item):
            assert said.endswith(".") == original.endswith("."), item.id
            assert said.startswith(" ") == original.startswith(" "), item.id
            assert said.count("`") == original.count("`"), item.id


def test_what_gettext_reads_is_what_the_translator_wrote() -> None:
    assert po_file("ru").with_suffix(".mo").read_bytes() == compiled(read("ru"))


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        (
            "there is no kind of difference called 'tru.h'; did you mean form?",
            "вида различия «tru.h» нет; может быть, form?",
        ),
        (
            "Learnt 3 of 4 lessons from 2 differences, at 70% of its strength; 1 other answer moved, "
            "within what the gate allows.",
            "Усвоено 3 из 4 уроков (различий: 2), при 70% силы; других ответов сдвинулось: 1, в "
            "пределах дозволенного.",
        ),
        (
            "The adapter was not taken (0 of 1 lessons from 1 difference learnt): lessons reproduced: "
            "0% (at least 90%); held-out rephrasings: 0% (at least 70%).",
            "Адаптер не принят, усвоено 0 из 1 уроков (различий: 1): уроков повторено: 0% (не меньше "
            "90%); те же вопросы иными словами: 0% (не меньше 70%).",
        ),
        (
            "the index is being made (1,200 of 3,000); recall goes by words alone until then",
            "указатель ещё строится (1\xa0200 из 3\xa0000); до тех пор припоминание идёт только по "
            "словам",
        ),
    ],
)
def test_a_sentence_kept_in_english_is_retold_with_its_values(english: str, russian: str) -> None:
    assert retold(english) == english
    i18n.use("ru")
    assert retold(english) == russian


@pytest.mark.parametrize(
    "text", ["leave it; my friend", "the rest of it, {name}", "", "漢字 and é"]
)
def test_what_is_not_ours_is_not_retold(text: str) -> None:
    i18n.use("ru")
    assert retold(text) == text


def test_what_a_person_wrote_within_a_sentence_stays_as_it_is() -> None:
    i18n.use("ru")
    quote = "'the same question'"
    said = retold(f"the quoted part {quote} does not stand in the reply; select it again")
    assert "«the same question»" in said


def test_what_is_longer_than_anything_of_ours_is_not_searched() -> None:
    i18n.use("ru")
    ours = "recall goes by words alone"
    assert "словам" in retold(f"nothing was found; {ours}")
    endless = f"{'nothing was found ' * 200}; {ours}"
    assert retold(endless) == endless
