"""A sentence for the user as data: an English template and the values that go into it.

`str(sentence)` is the English text, which logs, `--json` output and stored files hold.
`memory.i18n.interface_language.render` shows the same sentence in the current language; the template is
the key of its translation (gettext's msgid, with `plural` its msgid_plural).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral, Real
from string import Formatter
from typing import Any, TypeAlias

SentenceValue: TypeAlias = "str | int | float | Sentence"
"""What a placeholder holds. A text is shown as it is, a number as the language writes it."""

STORED = "sentences"
"""The key of a stored record that holds its sentences as data."""
_SPEC = re.compile(r"\+?,?(\.\d{1,2})?[deg%f]?")
"""Format specifications that a template may use; a stored file could hold any other."""


@dataclass(frozen=True, slots=True, init=False)
class Sentence:
    """A template such as `"no adapter {name!r} in {folder}"` with a value for each placeholder.

    A placeholder is `{name}`, `{name!r}` (in quotation marks) or `{name:spec}` for a number; braces
    of the text itself are doubled. Braces in values are safe. A sentence whose wording depends on a
    count has a second template, `plural`, and the count as its value `n`.
    """

    template: str
    plural: str
    values: tuple[tuple[str, SentenceValue], ...]

    def __init__(self, template: str, plural: str = "", /, **values: object) -> None:
        """Keep numbers, sentences and errors of Discern as they are; convert other values to text."""
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "plural", plural)
        given = tuple((name, _value(value)) for name, value in values.items())
        object.__setattr__(self, "values", given)

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.template)

    def __str__(self) -> str:
        """Return the English text."""
        template = self.plural if self.plural and self.count != 1 else self.template
        return fill(template, dict(self.values), _english)

    @property
    def count(self) -> int:
        """The number that decides between `template` and `plural`."""
        count = dict(self.values)["n"]
        if not isinstance(count, int):
            raise TypeError(f"a sentence with a plural counts a whole number, not {count!r}")
        return count

    def problem_and_advice(self) -> tuple[Sentence, Sentence]:
        """Return the two parts of a sentence "problem; advice"; without advice, the second is empty.

        Only templates are split, at the last semicolon; texts may contain any. The advice may be that
        of a sentence at the end of this one.
        """
        problem, mark, advice = self.template.rpartition("; ")
        problems, _, advices = self.plural.rpartition("; ")
        values = dict(self.values)
        if not mark:
            for name, value in self.values:
                if isinstance(value, Sentence) and self.template.endswith(f"{{{name}}}"):
                    inner, advised = value.problem_and_advice()
                    return Sentence(self.template, self.plural, **values | {name: inner}), advised
            return self, NOTHING
        return Sentence(problem, problems, **values), Sentence(advice, advices, **values)

    def to_json(self) -> dict[str, Any]:
        """Return the templates and the values, nested sentences included."""
        values = {
            name: value.to_json() if isinstance(value, Sentence) else value
            for name, value in self.values
        }
        plural = {"plural": self.plural} if self.plural else {}
        return {"template": self.template, **plural, "values": values}


NOTHING = Sentence("")
"""A sentence that says nothing; false, as an empty text is."""


def verbatim(text: str) -> Sentence:
    """Return a sentence that shows this text as it is in every language."""
    return Sentence("{text}", text=text) if text else NOTHING


def joined(parts: Iterable[Sentence | str], separator: str = "; ") -> Sentence:
    """Return several sentences as one."""
    values = {f"part{number}": part for number, part in enumerate(parts, 1)}
    return Sentence(separator.join(f"{{{name}}}" for name in values), **values)


def to_plain(record: Mapping[str, object]) -> dict[str, Any]:
    """Return a record for `json.dumps`, with the English texts of its sentences in their places.

    Under the key "sentences" it has all of them as data.
    """
    found: list[Sentence] = []
    plain = {name: _plain(value, found) for name, value in record.items()}
    sentences = [sentence.to_json() for sentence in dict.fromkeys(found) if sentence]
    return {**plain, STORED: sentences} if sentences else plain


class Stored:
    """The sentences of a record that `to_plain` made, by their English text.

    A text that is not among them, as in records of earlier versions, is shown as it is.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Take any record; entries that are not sentences are left out."""
        listed = record.get(STORED)
        found = [_read(item) for item in (listed if isinstance(listed, list) else ())]
        self._by_text = {str(sentence): sentence for sentence in found if sentence is not None}

    def sentence(self, text: object) -> Sentence:
        """Return the sentence of a stored text."""
        return self._by_text.get(str(text)) or verbatim(str(text))


def fill(
    template: str,
    values: Mapping[str, SentenceValue],
    show: Callable[[SentenceValue, str | None, str], str],
) -> str:
    """Fill the placeholders of a template or of its translation.

    `show` is given each value with its conversion (`r` or None) and its format specification. A
    placeholder without a value stays as it is.
    """
    out = []
    for literal, name, spec, conversion in Formatter().parse(template):
        out.append(literal)
        if name is not None:
            value = values.get(name)
            out.append(f"{{{name}}}" if value is None else show(value, conversion, spec or ""))
    return "".join(out)


def formatted(value: SentenceValue, conversion: str | None, spec: str) -> str:
    """Return a text or a number in the form that a template gives it."""
    if isinstance(value, str):
        return repr(value) if conversion == "r" else value
    return format(value, spec) if _SPEC.fullmatch(spec) else str(value)


def _english(value: SentenceValue, conversion: str | None, spec: str) -> str:
    return str(value) if isinstance(value, Sentence) else formatted(value, conversion, spec)


def _value(value: object) -> SentenceValue:
    if isinstance(value, Sentence | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    sentence = getattr(value, "sentence", None)  # a Discern error inside another sentence
    return sentence if isinstance(sentence, Sentence) else str(value)


def _plain(value: object, found: list[Sentence]) -> object:
    if isinstance(value, Sentence):
        found.append(value)
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), found) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(inner, found) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, found) for inner in value]
    return value


def _read(data: object) -> Sentence | None:
    try:
        sentence = _made(data)
        str(sentence)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return sentence


def _made(data: Any) -> Sentence:
    values = {
        name: _made(value) if isinstance(value, dict) else value
        for name, value in data["values"].items()
    }
    if not all(isinstance(value, str | int | float | Sentence) for value in values.values()):
        raise TypeError
    return Sentence(data["template"], data.get("plural", ""), **values)
