"""Render sentences in the current language.

Errors, notices and reports are kept as `Sentence` values, which are English in logs, `--json` and
files. Text written by the user, a model or another program is a value of a sentence and is never
translated.
"""

from __future__ import annotations

from memory.i18n.translation import decimal, language, lookup, lookup_plural
from memory.sentence import Sentence, Value, fill, formatted


def render(sentence: Sentence) -> str:
    """Return a sentence in the current language, or in English if it has no translation."""
    if sentence.plural:
        template = lookup_plural(sentence.template, sentence.plural, sentence.count)
    else:
        template = lookup(sentence.template)
    return fill(template, dict(sentence.values), _shown)


def _shown(value: Value, conversion: str | None, spec: str) -> str:
    if isinstance(value, Sentence):
        return render(value)
    text = formatted(value, conversion, spec)
    if not isinstance(value, str):
        return decimal(text)
    return f"«{text[1:-1]}»" if conversion == "r" and language() == "ru" else text
