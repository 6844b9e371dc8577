"""The language in which Discern speaks to the person: English, or Russian by locale or `[ui] language`.

English stands in the code; `tr` and `trn` look it up in a gettext catalogue beside this file
(`locale/<language>/LC_MESSAGES/discern.mo`, made from the `.po` by `make messages`). What has no
translation is said in English. Texts kept in a registry are looked up where they are shown, so that
importing one fixes no language. What the model, the memory or a file says is never looked up; it comes
in as a value.

Source: GNU gettext, for the files and for the variables that name a language.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from pathlib import Path

DOMAIN = "discern"
LOCALE = Path(__file__).with_name("locale")
LANGUAGES = ("en", "ru")

_spoken: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def language() -> str:
    """Return the language in force: one of `LANGUAGES`."""
    return _language


def use(wanted: str, environ: Mapping[str, str] | None = None) -> None:
    """Speak this language from now on; "" is that of the locale, English where it names no other."""
    global _spoken, _language
    _language = wanted or _of_locale(os.environ if environ is None else environ)
    _spoken = gettext.translation(DOMAIN, LOCALE, [_language], fallback=True)


def tr(text: str, /, **values: object) -> str:
    """Return an interface text in the language in force, its {names} filled with `values`."""
    said = _spoken.gettext(text) if text else ""
    return said.format(**values) if values else said


def lookup(template: str) -> str:
    """Return the translation of a sentence's template, or the template itself."""
    return _spoken.gettext(template) if template else ""


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the text for so many, as the language counts; {n} is the count, by thousands."""
    return _spoken.ngettext(one, many, count).format(n=decimal(f"{count:,}"), **values)


def quoted(text: str) -> str:
    """Return a text in the quotation marks of the language in force."""
    return f"«{text}»" if _language == "ru" else repr(text)


def decimal(number: str) -> str:
    """Return a number with the decimal mark and the thousands of the language in force."""
    return number.replace(",", "\xa0").replace(".", ",") if _language == "ru" else number


def _of_locale(environ: Mapping[str, str]) -> str:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for part in environ.get(name, "").split(":"):
            spoken = part[:2].lower()
            if spoken in LANGUAGES:
                return spoken
            if part in ("C", "POSIX") or part.startswith("C."):
                return "en"
        if environ.get(name) and name != "LANGUAGE":
            return "en"  # a language that we do not speak
    return "en"
