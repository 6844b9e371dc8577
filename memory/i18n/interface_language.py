"""The language of the interface: English, or Russian by locale or `[ui] language`.

The code contains the English texts. `tr` and `trn` look them up in a gettext catalogue next to this
file (`locale/<language>/LC_MESSAGES/discern.mo`, compiled from the `.po` by `make messages`). Texts
without a translation are shown in English. Texts in a registry are looked up where they are shown, so
that importing the registry does not fix a language.

Errors, notices and reports are kept as `Sentence` values, which are English in logs, `--json` and
files; `render` returns them in the current language. Text written by the user, a model or another
program is a value of a sentence and is never translated.

Source: GNU gettext, for the files and for the variables that name a language.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from pathlib import Path

from memory.sentence import Sentence, SentenceValue, fill, formatted

DOMAIN = "discern"
LOCALE = Path(__file__).with_name("locale")
LANGUAGES = ("en", "ru")

_translations: gettext.NullTranslations = gettext.NullTranslations()
_language = "en"


def language() -> str:
    """Return the current language: one of `LANGUAGES`."""
    return _language


def use(wanted: str, environ: Mapping[str, str] | None = None) -> None:
    """Set the language; "" is that of the locale, or English if Discern does not have it."""
    global _translations, _language
    _language = wanted or _of_locale(os.environ if environ is None else environ)
    _translations = gettext.translation(DOMAIN, LOCALE, [_language], fallback=True)


def tr(text: str, /, **values: object) -> str:
    """Return an interface text in the current language, its {names} filled with `values`."""
    translated = lookup(text)
    return translated.format(**values) if values else translated


def lookup(template: str) -> str:
    """Return the translation of a template, or the template itself."""
    return _translations.gettext(template) if template else ""


def lookup_plural(one: str, many: str, count: int) -> str:
    """Return the plural form for `count` of the translation of two templates, or one of them."""
    return _translations.ngettext(one, many, count)


def trn(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the plural form for `count`; {n} is the count with thousands separators."""
    return lookup_plural(one, many, count).format(n=decimal(f"{count:,}"), **values)


def render(sentence: Sentence) -> str:
    """Return a sentence in the current language, or in English if it has no translation."""
    if sentence.plural:
        template = lookup_plural(sentence.template, sentence.plural, sentence.count)
    else:
        template = lookup(sentence.template)
    return fill(template, dict(sentence.values), _shown)


def quoted(text: str) -> str:
    """Return a text in the quotation marks of the current language."""
    return f"«{text}»" if _language == "ru" else repr(text)


def decimal(number: str) -> str:
    """Return a number with the decimal and thousands separators of the current language."""
    return number.replace(",", "\xa0").replace(".", ",") if _language == "ru" else number


def _shown(value: SentenceValue, conversion: str | None, spec: str) -> str:
    if isinstance(value, Sentence):
        return render(value)
    text = formatted(value, conversion, spec)
    if not isinstance(value, str):
        return decimal(text)
    return quoted(text[1:-1]) if conversion == "r" and _language == "ru" else text


def _of_locale(environ: Mapping[str, str]) -> str:
    for variable in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        for part in environ.get(variable, "").split(":"):
            name = part[:2].lower()
            if name in LANGUAGES:
                return name
            if part in ("C", "POSIX") or part.startswith("C."):
                return "en"
        if environ.get(variable) and variable != "LANGUAGE":
            return "en"  # an unsupported language
    return "en"
