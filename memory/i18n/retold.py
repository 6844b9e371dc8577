"""Sentences that were raised or kept in English, said again in the language in force.

Errors, the journal, events and reports speak English, so that logs, `--json` and what is stored read
the same everywhere. Where the chat shows one, `retold` finds it among the sentences that the code can
say (`make messages` gathers them), takes its values out and puts them into the translation. What is
not found is shown as it stands; what a person or a model wrote comes through as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter

from memory.i18n.i18n import decimal, language, sentences
from memory.i18n.messages import render
from memory.sentence import Sentence, fill

# Values that hold more of our own words; in others a person's words must stay as they are.
_OURS = frozenset(
    (
        "advice", "anchors_kept", "cause", "device", "doing", "ended", "error", "estimate", "failed",
        "free", "hint", "kept", "learnt", "lost", "many", "marks", "meet", "mend", "more", "moved",
        "near_kept", "night", "notice", "reason", "rest", "said", "scaled", "sentence", "share",
        "table", "what", "where", "whole", "why",
    )
)  # fmt: skip
_LEAST = 6
"""Letters of a sentence that must stand as they are, so that no pattern takes what is not its own."""
_LONGEST = 2000
"""Characters of what is retold at most: nothing of ours is longer, and the search would take long."""
_NUMBER = re.compile(r"[+-]?\d{1,3}(,\d{3})*(\.\d+)?(%| GiB)?")
_SET = ("weight", "rate", "learning_rates")
"""Numbers that are written into `config.toml` as they are said."""
_JOINTS = ((re.compile("; "), "; "), (re.compile(r"(?<=\.) "), " "))
_QUOTED = re.compile(r"(['\"])(.*)\1", re.S)


@dataclass(frozen=True, slots=True)
class _Known:
    """One thing the code can say: how it is recognised, and how it is said."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]
    translation: str


def retold(text: str | Sentence) -> str:
    """Return a sentence of ours in the language in force; anything else as it is."""
    if isinstance(text, Sentence):
        return render(text)
    if language() == "en" or not text or len(text) > _LONGEST:
        return text
    return _whole(text, _LEAST) or _parts(text) or text


def _parts(text: str) -> str | None:
    """Retell what several sentences were joined to, if each of them can be."""
    for joint, space in _JOINTS:
        parts = joint.split(text)
        if len(parts) > 1:
            found = [_sentence(part) for part in parts]
            if all(found):
                return space.join(part for part in found if part)
    return None


def _sentence(text: str) -> str | None:
    """Return a part, with its full stop or without, as it is known."""
    if said := _whole(text, _LEAST):
        return said
    if text.endswith("."):
        return (said := _whole(text[:-1], _LEAST)) and f"{said}."
    return (said := _whole(f"{text}.", _LEAST)) and said.removesuffix(".")


def _whole(text: str, least: int = 0) -> str | None:
    plain, patterns = _known(language())
    if text.startswith(" "):
        said = _whole(text.lstrip(), least)
        return said and f" {said}"
    if text in plain:
        return plain[text]
    for letters, fixed, template, translation in patterns:
        if letters < least or fixed not in text:
            continue
        sentence = _compiled(template, translation)
        if match := sentence.pattern.fullmatch(text):
            values = zip(sentence.names, match.groups(), strict=True)
            filled = {name: _value(name, value) for name, value in values}
            return fill(translation, filled, lambda value, _conversion, _spec: str(value))
    return None


def _value(name: str, value: str) -> str:
    if _is_ours(name) and (said := _whole(value) or _parts(value)):
        return said
    if _NUMBER.fullmatch(value) and name not in _SET:
        return decimal(value)
    quoted = _QUOTED.fullmatch(value)
    return f"«{quoted[2]}»" if quoted else value


def _is_ours(name: str) -> bool:
    return name.rstrip("0123456789") in _OURS


@lru_cache(maxsize=4)
def _known(spoken: str) -> tuple[dict[str, str], list[tuple[int, str, str, str]]]:
    """Return the sentences without values, and those with some, the longest first."""
    plain: dict[str, str] = {}
    patterns: list[tuple[int, str, str, str]] = []
    for key, said in sentences().items():
        template, translation = key.lstrip(), said.lstrip()
        fixed = [literal for literal, name, _, _ in Formatter().parse(template)]
        if "{" not in template:
            plain[template] = translation
        else:
            letters = sum(char.isalpha() for part in fixed for char in part)
            patterns.append((letters, max(fixed, key=len), template, translation))
    return plain, sorted(patterns, reverse=True)


@lru_cache(maxsize=1024)
def _compiled(template: str, translation: str) -> _Known:
    pattern, names = "", []
    for literal, name, _form, _conversion in Formatter().parse(template):
        pattern += re.escape(literal)
        if name is not None:
            pattern += "(s?)" if name == "s" else "(.*?)" if _is_ours(name) else "((?:(?!; ).)*?)"
            names.append(name)
    return _Known(re.compile(pattern, re.S), tuple(names), translation)
