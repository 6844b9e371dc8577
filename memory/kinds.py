"""The kinds of difference: thirty built-in ones (`kinds.toml`), and the user's own.

A kind is written `family` or `family/type`; the type alone is enough if it is unique. English and
Russian names are accepted. `kinds.toml` next to the user's `config.toml` adds families, or types to a
known family. It is read once; the error for an invalid file names its path, the key and the problem. A
stored kind that is no longer known (the file is gone) is shown by its stored name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from memory.difference import Moment
from memory.errors import FileError, MarkError, SettingsError
from memory.files.bounded_read import read_toml
from memory.i18n.interface_language import language
from memory.moments import nearly
from memory.sentence import Sentence
from memory.settings.paths import Home

MAX_OWN_KINDS = 500
"""The maximum number of the user's own families and types."""

_SHIPPED = Path(__file__).with_name("kinds.toml")


Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
_ExamplePair = Annotated[list[Text], Field(min_length=2, max_length=2)]


class _Entry(BaseModel):
    """A family or type as written in the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shows: Text
    shows_ru: Text | None = None
    ru: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    ask: Text | None = None
    ask_ru: Text | None = None
    example: _ExamplePair | None = None
    example_ru: _ExamplePair | None = None
    moment: Literal["error", "surprise", "hold"] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One family (`type` is empty) or one type of a family.

    `example` is a pair: a commonplace reply, and a better one. The English text is used if there is no
    Russian one.
    """

    family: str
    type: str
    russian: str
    shows: str
    ask: str = ""
    example: tuple[str, ...] = ()
    russian_shows: str = ""
    russian_ask: str = ""
    russian_example: tuple[str, ...] = ()
    own: bool = False
    moment: Moment | None = None
    """The moment of a mark of this kind that does not name one."""

    @property
    def name(self) -> str:
        """The stored name: `tactical` or `tactical/fact`."""
        return f"{self.family}/{self.type}" if self.type else self.family

    @property
    def label(self) -> str:
        """Its own name, without the family, in the current language."""
        return self.russian if language() == "ru" else self.type or self.family

    @property
    def meaning(self) -> str:
        """What it means, in the current language."""
        return self.russian_shows if language() == "ru" else self.shows


def kinds(home: Home | None = None) -> dict[str, Kind]:
    """Return every family and type by stored name: the shipped ones in order, then the user's own.

    Raises:
        SettingsError: the user's `kinds.toml` cannot be read.
    """
    return _kinds(_own(home))


def find_kind(text: str) -> Kind | None:
    """Return the kind with exactly this name (in any case); None if there is none."""
    name = _names(_own()).get(text.strip().lower())
    return kinds()[name] if name else None


def nearest_kind(word: str, *, alone: bool) -> str | None:
    """Return the kind that a misspelt word probably means; None for an ordinary word of a note.

    A `family/type` is compared if its family is almost known. A word that is `alone` is compared with
    all names, the first word of a longer note with the families only.
    """
    word = word.strip().lower()
    names = _names(_own())
    families = {name for name, whole in names.items() if "/" not in whole}
    family, slash, kind = word.partition("/")
    if slash:
        meant = family in families or any(nearly(family, name) for name in families)
        if not meant and not (family in names and kind in names):
            return None
        whole = [name for name in names if "/" in name]
        return next(iter(get_close_matches(word, whole, n=1, cutoff=0.5)), None)
    offered = [name for name in names if "/" not in name] if alone else sorted(families)
    return next((name for name in offered if len(name) >= 4 and nearly(word, name)), None)


def in_words(name: str) -> str:
    """Return a stored kind in the current language; an unknown one unchanged."""
    if language() == "en":
        return name
    try:
        known = kinds()
    except SettingsError:
        return name
    kind, family = known.get(name), known.get(name.partition("/")[0])
    if kind is None or family is None:
        return name
    return f"{family.label}/{kind.label}" if kind.type else kind.label


def typed(name: str) -> str:
    """Return a kind as it is typed after /diff, where a space would end it."""
    return in_words(name).replace(" ", "-")


def require_kind(text: str) -> Kind:
    """Return the kind with this name.

    Raises:
        MarkError: there is none; the message suggests the nearest one.
    """
    if kind := find_kind(text):
        return kind
    near = get_close_matches(text.lower()[:80], _names(_own()), n=1, cutoff=0.6)
    hint = (
        Sentence("did you mean {near}?", near=near[0])
        if near
        else Sentence("`discern memory kinds` lists the kinds")
    )
    shown = text if len(text) <= 60 else text[:57] + "..."
    raise MarkError(
        "there is no kind of difference named {shown!r}; {hint}", shown=shown, hint=hint
    )


def _own(home: Home | None = None) -> Path:
    return (home or Home.locate()).config / "kinds.toml"


@lru_cache(maxsize=16)
def _kinds(own: Path) -> dict[str, Kind]:
    found = {kind.name: kind for kind in _read(_SHIPPED, {}, own=False)}
    with suppress(FileNotFoundError):
        found |= {kind.name: kind for kind in _read(own, found, own=True)}
    return found


@lru_cache(maxsize=16)
def _names(own: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    known = _kinds(own)
    for kind in known.values():
        russian = kind.russian.lower()
        whole = f"{known[kind.family].russian.lower()}/{russian}" if kind.type else russian
        for name in (kind.name, kind.type or kind.family, russian, whole):
            names.setdefault(name, kind.name)
            names.setdefault(name.replace(" ", "-"), kind.name)  # as it is written after /diff
    return names


def _read(path: Path, known: Mapping[str, Kind], *, own: bool) -> list[Kind]:
    try:
        table = read_toml(path)
    except FileError as error:
        raise SettingsError(error.sentence) from error
    taken = {kind.name for kind in known.values()}
    taken |= {name for kind in known.values() for name in (kind.type, kind.russian) if name}
    found: list[Kind] = []
    for family, body in table.items():
        for kind in _family(path, family, body, known, own):
            names = {kind.name, kind.type or kind.family, kind.russian}
            if own and (twice := sorted(names & taken)):
                raise SettingsError(
                    "{path}: {name} has the name {twice!r}, which another kind already uses; "
                    "choose another name",
                    path=path,
                    name=kind.name,
                    twice=twice[0],
                )
            taken |= names
            found.append(kind)
    if len(found) > MAX_OWN_KINDS:
        raise SettingsError(
            "{path} has more than {most} kinds; remove some", path=path, most=MAX_OWN_KINDS
        )
    return found


def _family(
    path: Path, family: str, body: object, known: Mapping[str, Kind], own: bool
) -> Iterator[Kind]:
    if not isinstance(body, dict):
        raise SettingsError(
            "{path}: {family!r} must be a section, written as [{family}]; fix it",
            path=path,
            family=family[:40],
        )
    said = {key: value for key, value in body.items() if not isinstance(value, dict)}
    types = {key: value for key, value in body.items() if isinstance(value, dict)}
    if family not in known:
        yield _kind(path, family, "", said, own)
    elif said:
        raise SettingsError(
            "{path}: [{family}] is a built-in family, so {said!r} cannot be set; add your types "
            "under [{family}.yours]",
            path=path,
            family=family,
            said=next(iter(said)),
        )
    for name, entry in types.items():
        yield _kind(path, family, name, entry, own)


def _kind(path: Path, family: str, name: str, entry: dict[str, Any], own: bool) -> Kind:
    where = f"{family}.{name}" if name else family
    for part in (family, name):
        if part and not (len(part) <= 40 and part == part.lower() and _is_word(part)):
            raise SettingsError(
                "{path}: {part!r} is not a valid name for a kind; use up to 40 lowercase "
                "letters, digits and hyphens",
                path=path,
                part=part[:40],
            )
    try:
        read = _Entry.model_validate(entry)
        for key, value in read:
            for text in value if isinstance(value, list) else [value] if value else []:
                _refuse_unprintable(path, f"{where}.{key}", text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join([where, *map(str, first["loc"])])
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                "{path} has an unknown key {key}; fix or remove it", path=path, key=key
            ) from None
        if first["type"] == "missing":
            raise SettingsError("{path}: {key} is missing; add it", path=path, key=key) from None
        said = first["msg"].split(" should ", 1)[-1]
        raise SettingsError(
            "{path}: {key} should {said}; fix that value", path=path, key=key, said=said
        ) from None
    return Kind(
        family=family,
        type=name,
        russian=read.ru or name or family,
        shows=read.shows,
        ask=read.ask or "",
        example=tuple(read.example or ()),
        russian_shows=read.shows_ru or read.shows,
        russian_ask=read.ask_ru or read.ask or "",
        russian_example=tuple(read.example_ru or read.example or ()),
        own=own,
        moment=Moment(read.moment) if read.moment else None,
    )


def _is_word(part: str) -> bool:
    return part.replace("-", "").isalnum()


def _refuse_unprintable(path: Path, key: str, text: str) -> None:
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for char in text):
        raise SettingsError(
            "{path}: {key} contains a control or invisible character; remove it", path=path, key=key
        )
