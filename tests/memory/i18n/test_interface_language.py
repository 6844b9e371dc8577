"""The choice of the language, and text without a translation."""

from __future__ import annotations

import pytest

from memory.i18n import interface_language


@pytest.mark.parametrize(
    ("environ", "spoken"),
    [
        ({}, "en"),
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:ru:en"}, "ru"),
        ({"LANGUAGE": "en:ru", "LANG": "ru_RU.UTF-8"}, "en"),
        ({"LC_MESSAGES": "ru_UA.UTF-8", "LANG": "en_US.UTF-8"}, "ru"),
    ],
)
def test_the_locale_selects_the_language(environ: dict[str, str], spoken: str) -> None:
    interface_language.use("", environ)
    assert interface_language.language() == spoken


def test_the_setting_overrides_the_locale() -> None:
    interface_language.use("en", {"LANG": "ru_RU.UTF-8"})
    assert interface_language.language() == "en"
    interface_language.use("ru", {"LANG": "en_US.UTF-8"})
    assert interface_language.language() == "ru"


def test_untranslated_text_stays_english_with_its_values_unchanged() -> None:
    interface_language.use("ru")
    assert (
        interface_language.tr("Never said {what}.", what="{braces} [bold]")
        == "Never said {braces} [bold]."
    )
    thing = ("{n} thing never said", "{n} things never said")
    assert interface_language.trn(*thing, 1200) == "1\xa0200 things never said"
    interface_language.use("en")
    assert interface_language.trn(*thing, 1200) == "1,200 things never said"
