"""The language of the interface: English, or Russian by locale or `[ui] language`.

The code contains the English texts. `tr` and `trn` look them up in a gettext catalogue next to this
file (`locale/<language>/LC_MESSAGES/discern.mo`, compiled from the `.po` by `make messages`). Texts
without a translation are shown in English. Texts in a registry are looked up where they are shown, so
that importing the registry does not fix a language. Text from the model, the memory or a file is a
value and is never looked up.

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
    """Return the current language: one of `LANGUAGES`."""
    return _language


def use(wanted: str, environ: Mapping[str, str] | None = None) -> None:
    """Set the language; "" is that of the locale, or English if Discern does not have it."""
    global _spoken, _language
    _language = wanted or _of_locale(os.environ if environ is None else environ)
    _spoken = gettext.translation(DOMAIN, LOCALE, [_language], fallback=True)


def tr(text: str, /, **values: object) -> str:
    """Return an interface text in the current language, its {names} filled with `values`."""
    said = _spoken.gettext(text) if text else ""
    return said.format(**values) if values else said


def lookup(template: str) -> str:
    """Return the translation of a sentence's template, or the template itself."""
    return _spoken.gettext(template) if template else ""


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the plural form for `count`; {n} is the count with thousands separators."""
    return _spoken.ngettext(one, many, count).format(n=decimal(f"{count:,}"), **values)


def quoted(text: str) -> str:
    """Return a text in the quotation marks of the current language."""
    return f"«{text}»" if _language == "ru" else repr(text)


def decimal(number: str) -> str:
    """Return a number with the decimal and thousands separators of the current language."""
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
            return "en"  # an unsupported language
    return "en"
