"""Sentences in the language in force.

Errors, notices and reports are kept as `Sentence` values, which read as English in logs, `--json` and
files; this shows one to the user. What a person, a model or another program wrote is a value of a
sentence and is never translated.
"""

from __future__ import annotations

from memory.i18n.translation import decimal, language, lookup
from memory.sentence import Sentence, Value, fill, formatted


def render(sentence: Sentence) -> str:
    """Return a sentence in the language in force; in English where it has no translation."""
    return fill(lookup(sentence.template), dict(sentence.values), _shown)


def _shown(value: Value, conversion: str | None, spec: str) -> str:
    if isinstance(value, Sentence):
        return render(value)
    text = formatted(value, conversion, spec)
    if not isinstance(value, str):
        return decimal(text)
    return f"«{text[1:-1]}»" if conversion == "r" and language() == "ru" else text
