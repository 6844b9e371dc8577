"""One line of an export: the schema of a difference, validated on import.

The format is described in `docs/memory-format.md`. Unknown keys, wrong types, dates that do not parse
or are in the future, unknown kinds and quotes that are not in the reply are refused with the name of
the field. The state and the id in a line are read but not trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from memory.difference import (
    Contrast,
    Difference,
    MarkScope,
    Message,
    Moment,
    Span,
    clean_field,
    now,
)
from memory.errors import ExchangeError, MarkError
from memory.kinds import require_kind
from memory.mark_validation import (
    MOST_RULES,
    checked_rules,
    checked_scope,
    refuse_rules_for_one,
    require_usable_scope,
)
from memory.sentence import Sentence

VERSION = 1
MAX_TALK = 200_000
"""The maximum length of a question, reply or earlier message, in characters."""
MAX_BEFORE = 500
"""The maximum number of earlier messages of a difference."""
SKEW = timedelta(minutes=10)
"""How far the clock of another machine may be ahead of ours."""
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

Name = Annotated[str, Field(max_length=200)]
Talk = Annotated[str, Field(max_length=MAX_TALK)]
Nats = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ExportHeader(_Line):
    """The first line of an export."""

    discern: Literal["differences"]
    version: int
    at: AwareDatetime | None = None
    count: Annotated[int, Field(ge=0)] | None = None


class Said(_Line):
    """A message of the conversation before a difference."""

    role: Literal["system", "user", "assistant"]
    content: Talk


class Quote(_Line):
    """A quoted part of the reply; `start` and `end` in characters."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    quote: Annotated[str, Field(min_length=1, max_length=MAX_TALK)]


class Record(_Line):
    """A difference as written in a line."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    at: AwareDatetime
    moment: Literal["surprise", "error", "hold"]
    asked: Annotated[str, Field(min_length=1, max_length=MAX_TALK)]
    replied: Talk
    kind: Name | None = None
    missed: str | None = None
    lost: str | None = None
    sounds: str | None = None
    note: str | None = None
    span: Quote | None = None
    thread: Name = ""
    turn: Name = ""
    model: Name = ""
    adapter: Name | None = None
    before: Annotated[list[Said], Field(max_length=MAX_BEFORE)] = []
    surprisal: Nats | None = None
    next_surprisal: Nats | None = None
    edited: AwareDatetime | None = None
    pinned: bool = False
    superseded_by: Name | None = None
    state: Name = ""
    version: Annotated[int, Field(ge=1)] = 1
    recalled: Annotated[int, Field(ge=0)] = 0
    scope: Literal["here", "topic", "when", "everywhere"] = "here"
    condition: str | None = None
    rules: Annotated[list[str], Field(max_length=MOST_RULES)] | None = None


def header(count: int) -> str:
    """Return the first line of an export of `count` differences, without its newline."""
    line = {"discern": "differences", "version": VERSION, "at": now().isoformat(), "count": count}
    return json.dumps(line)


def to_line(difference: Difference) -> str:
    """Return a difference as one line of JSON without its newline; empty fields are left out."""
    contrast, span = difference.contrast, difference.span
    whole: dict[str, Any] = {
        "id": difference.id,
        "at": difference.at.isoformat(),
        "moment": difference.moment.value,
        "kind": difference.kind,
        "asked": difference.asked,
        "replied": difference.replied,
        "missed": contrast.missed,
        "lost": contrast.lost,
        "sounds": contrast.sounds,
        "note": difference.note,
        "span": span and {"start": span.start, "end": span.end, "quote": span.quote},
        "thread": difference.thread,
        "turn": difference.turn,
        "model": difference.model,
        "adapter": difference.adapter,
        "before": [{"role": item.role, "content": item.content} for item in difference.before],
        "surprisal": difference.surprisal,
        "next_surprisal": difference.next_surprisal,
        "edited": difference.edited and difference.edited.isoformat(),
        "pinned": difference.pinned,
        "superseded_by": difference.superseded_by,
        "state": difference.state.value,
        "version": difference.version,
        "recalled": difference.recalled,
        "scope": "" if difference.scope is MarkScope.HERE else difference.scope.value,
        "condition": difference.condition,
        "rules": difference.rules,
    }
    always = ("id", "at", "moment", "asked", "replied")
    said = {key: value for key, value in whole.items() if value or value == () or key in always}
    return escape_unseen(json.dumps(said, ensure_ascii=False))


def escape_unseen(text: str) -> str:
    r"""Return JSON with its control, bidi, invisible and private characters as \u escapes.

    The result has the same meaning and cannot affect a terminal.
    """
    if text.isascii():  # json.dumps has escaped the other control characters, except DEL
        return text.replace("\x7f", "\\u007f")
    return "".join(
        json.dumps(char)[1:-1] if unicodedata.category(char) in _UNSEEN else char for char in text
    ).replace("\x7f", "\\u007f")


def read_header(line: bytes) -> ExportHeader:
    """Return the header in `line`.

    Raises:
        ExchangeError: it is not a header, or of an unknown version; without the place.
    """
    try:
        found = ExportHeader.model_validate_json(line)
    except ValidationError:
        raise ExchangeError(
            'not the header of an export, such as {{"discern": "differences", "version": 1}}; '
            "export the file again, or add that line"
        ) from None
    if found.version != VERSION:
        raise ExchangeError(
            "the file has version {version}, but this Discern reads version {supported}; update "
            "Discern, or export again with the same version",
            version=found.version,
            supported=VERSION,
        )
    return found


def read_line(line: bytes) -> Record:
    """Return the record in `line`, its texts unchanged.

    Raises:
        ExchangeError: the field and what is wrong with it; without the place, which the caller knows.
    """
    try:
        record = Record.model_validate_json(line)
    except ValidationError as error:
        raise ExchangeError(_said(error)) from None
    return _checked(record)


def to_difference(record: Record, identity: str, turn: str) -> Difference:
    """Return the difference of a record, with an id and a turn's id of our own.

    The caller sets its state, version and use; those in the file are not trusted.
    """
    span = record.span
    return Difference(
        id=identity,
        turn=turn,
        thread=record.thread or "imported",
        at=record.at.astimezone(UTC),
        moment=Moment(record.moment),
        asked=record.asked,
        replied=record.replied,
        kind=record.kind,
        contrast=Contrast(record.missed, record.lost, record.sounds),
        note=record.note,
        span=Span.within(record.replied, span.start, span.end) if span else None,
        model=record.model,
        adapter=record.adapter,
        before=tuple(Message(item.role, item.content) for item in record.before),
        surprisal=record.surprisal,
        next_surprisal=record.next_surprisal,
        pinned=record.pinned,
        scope=MarkScope(record.scope),
        condition=record.condition,
        rules=None if record.rules is None else tuple(record.rules),
    )


def sameness(asked: str, replied: str, lines: Sequence[str | None]) -> str:
    """Return a sha256 that is equal for differences with equal question, reply and contrast."""
    parts = [asked.strip(), replied.strip(), *(line or "" for line in lines)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _checked(record: Record) -> Record:
    limit = now() + SKEW
    for name, moment in (("at", record.at), ("edited", record.edited)):
        if moment is not None and not EARLIEST <= moment <= limit:
            if moment > limit:
                raise ExchangeError(
                    "{name} = {moment} is in the future; fix that date",
                    name=name,
                    moment=moment.isoformat(),
                )
            raise ExchangeError(
                "{name} = {moment} is before the year 2000; fix that date",
                name=name,
                moment=moment.isoformat(),
            )
    changed: dict[str, Any] = {}
    try:
        for name in ("missed", "lost", "sounds", "note"):
            changed[name] = clean_field(name, getattr(record, name))
        if record.kind is not None:
            changed["kind"] = require_kind(record.kind).name
        scope, changed["condition"] = checked_scope(record.scope, record.condition)
        if record.rules is not None:
            changed["rules"] = list(checked_rules("\n".join(record.rules)) or ())
        refuse_rules_for_one(scope, changed.get("rules"))
        require_usable_scope(
            scope,
            Moment(record.moment),
            any(changed.get(name) for name in ("missed", "lost", "sounds", "note", "rules")),
        )
    except MarkError as error:
        raise ExchangeError("cannot be stored: {error}", error=error) from None
    if not record.asked.strip():
        raise ExchangeError("asked is empty; remove the line")
    sounds = (changed["sounds"] or "").strip()
    if sounds and sounds == record.replied.strip() and record.moment != "hold":
        raise ExchangeError("sounds is the same as the marked reply; fix or remove it")
    if record.span:
        changed["span"] = _placed(record.span, record.replied)
    return record.model_copy(update=changed)


def _placed(span: Quote, replied: str) -> Quote:
    quote = span.quote
    start = span.start if replied[span.start : span.start + len(quote)] == quote else -1
    start = start if start >= 0 else replied.find(quote)
    if start < 0:
        raise ExchangeError("span.quote is not in replied; fix or remove span")
    return Quote(start=start, end=start + len(quote), quote=quote)


def _said(error: ValidationError) -> Sentence:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    said = first["msg"]
    if first["type"] == "json_invalid":
        said = said.removeprefix("Invalid JSON: ").replace("at line 1 column", "at byte")
        return Sentence("not valid JSON: {said}; fix or remove the line", said=said)
    if first["type"] == "extra_forbidden":
        return Sentence("unknown key {key!r}; fix or remove it", key=key)
    if first["type"] == "missing":
        return Sentence("missing key {key!r}; add it, or remove the line", key=key)
    if not key:
        return Sentence("not a difference; fix or remove the line")
    said = re.sub(r"^(Value error, )?((Input|String|List) should )?", "", said)
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return Sentence(
        "{key} = {shown} is invalid: it should {said}; fix that value",
        key=key,
        shown=shown,
        said=said,
    )
