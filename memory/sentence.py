"""A sentence for the user as data: an English template and the values that go into it.

`str(sentence)` is the English text, which logs, `--json` output and stored files hold.
`memory.i18n.messages.render` shows the same sentence in the language in force; the template is the
key of its translation (gettext's msgid).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from string import Formatter
from typing import Any, TypeAlias

Value: TypeAlias = "str | int | float | Sentence"
"""What a placeholder holds. A text is shown as it is, a number as the language writes it."""

_SPEC = re.compile(r"\+?,?(\.\d{1,2})?[deg%f]?")
"""Format specifications that a template may use; a stored file could hold any other."""


@dataclass(frozen=True, slots=True, init=False)
class Sentence:
    """A template such as `"no adapter {name!r} in {folder}"` with a value for each placeholder.

    A placeholder is `{name}`, `{name!r}` (in quotation marks) or `{name:spec}` for a number; braces
    of the text itself are doubled. Braces in values are safe.
    """

    template: str
    values: tuple[tuple[str, Value], ...]

    def __init__(self, template: str, /, **values: object) -> None:
        """Numbers, sentences and errors of Discern stay what they are; other values become text."""
        object.__setattr__(self, "template", template)
        given = tuple((name, _value(value)) for name, value in values.items())
        object.__setattr__(self, "values", given)

    def __str__(self) -> str:
        """Return the English text."""
        return fill(self.template, dict(self.values), _english)

    def to_json(self) -> dict[str, Any]:
        """Return the template and the values, nested sentences included."""
        values = {
            name: value.to_json() if isinstance(value, Sentence) else value
            for name, value in self.values
        }
        return {"template": self.template, "values": values}


def verbatim(text: str) -> Sentence:
    """Return a sentence that shows this text as it is in every language."""
    return Sentence("{text}", text=text) if text else Sentence("")


def joined(parts: Iterable[Sentence | str], separator: str = "; ") -> Sentence:
    """Return several sentences as one."""
    values = {f"part{number}": part for number, part in enumerate(parts, 1)}
    return Sentence(separator.join(f"{{{name}}}" for name in values), **values)


def from_json(text: str, data: object) -> Sentence:
    """Read a stored sentence; `text` is its English, shown as it is where `data` does not fit it.

    Files written before sentences were stored hold only the text.
    """
    try:
        sentence = _read(data)
        return sentence if str(sentence) == text else verbatim(text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return verbatim(text)


def fill(
    template: str, values: Mapping[str, Value], show: Callable[[Value, str | None, str], str]
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


def formatted(value: Value, conversion: str | None, spec: str) -> str:
    """Return a text or a number in the form that a template gives it."""
    if isinstance(value, str):
        return repr(value) if conversion == "r" else value
    return format(value, spec) if _SPEC.fullmatch(spec) else str(value)


def _english(value: Value, conversion: str | None, spec: str) -> str:
    return str(value) if isinstance(value, Sentence) else formatted(value, conversion, spec)


def _value(value: object) -> Value:
    if isinstance(value, Sentence | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    sentence = getattr(value, "sentence", None)  # an error of ours, told within another sentence
    return sentence if isinstance(sentence, Sentence) else str(value)


def _read(data: object) -> Sentence:
    if not isinstance(data, dict) or not isinstance(data["template"], str):
        raise TypeError
    values = {
        name: _read(value) if isinstance(value, dict) else value
        for name, value in data["values"].items()
    }
    if not all(isinstance(value, str | int | float | Sentence) for value in values.values()):
        raise TypeError
    return Sentence(data["template"], **values)
