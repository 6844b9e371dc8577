"""Regular Russian nouns and names in every case."""

from __future__ import annotations

import pytest

from trainer.lessons.entities.russian_cases import GrammaticalCase, decline, gender_of

CASES: tuple[GrammaticalCase, ...] = (
    "nominative", "genitive", "dative", "accusative", "instrumental", "prepositional",
)  # fmt: skip


@pytest.mark.parametrize(
    "forms",
    [
        "мост моста мосту мост мостом мосте",
        "музей музея музею музей музеем музее",
        "дождь дождя дождю дождь дождём дожде",
        "книга книги книге книгу книгой книге",
        "река реки реке реку рекой реке",
        "гавань гавани гавани гавань гаванью гавани",
        "Франция Франции Франции Францию Францией Франции",
        "окно окна окну окно окном окне",
        "море моря морю море морем море",
        "кино кино кино кино кино кино",
        "Чили Чили Чили Чили Чили Чили",
    ],
)
def test_nouns_are_declined(forms: str) -> None:
    wanted = [form.replace("ё", "е") for form in forms.split()]
    assert [decline(forms.split()[0], case).replace("ё", "е") for case in CASES] == wanted


@pytest.mark.parametrize(
    "forms",
    [
        "Орлов Орлова Орлову Орлова Орловым Орлове",
        "Орлова Орловой Орловой Орлову Орловой Орловой",
        "Вернер Вернера Вернеру Вернера Вернером Вернере",
        "Андрей Андрея Андрею Андрея Андреем Андрее",
    ],
)
def test_names_of_people_are_declined(forms: str) -> None:
    name = forms.split()[0]
    made = [decline(name, case, animate=True, surname=name != "Андрей") for case in CASES]
    assert made == forms.split()


def test_each_of_several_words_is_declined() -> None:
    assert decline("Ольга Орлова", "dative", animate=True, surname=True) == "Ольге Орловой"


def test_gender_is_recognized() -> None:
    assert [
        gender_of(word) for word in ("мост", "дождь", "гавань", "книга", "море", "учитель")
    ] == [*"mmffnm"]
