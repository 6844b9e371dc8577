"""The values of the domain: Message, Turn, Contrast, Span, Difference.

They are frozen, checked when created, and independent of files and models. Their text is what the
user or the model wrote; it is sanitized where it is shown (`tui/terminal/sanitize.py`) or inserted
into a prompt (`memory/recall/hybrid_search.py`), never here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from memory.errors import MarkError
from memory.sentence import Sentence

MAX_FIELD = 20_000
"""Longest text of one field of a mark, in characters."""


class Moment(StrEnum):
    """Why a reply was marked."""

    SURPRISE = "surprise"
    ERROR = "error"
    HOLD = "hold"


class MarkScope(StrEnum):
    """Which replies a mark is about."""

    HERE = "here"
    """Those to its question, in any words."""
    TOPIC = "topic"
    """Those to questions on the same subject."""
    WHEN = "when"
    """Those for which its condition holds."""
    EVERYWHERE = "everywhere"
    """All."""


STANDING = (MarkScope.WHEN, MarkScope.EVERYWHERE)
"""Scopes of marks that are in the context of every message (`memory/recall/standing.py`)."""


class Untaught(StrEnum):
    """Why a difference cannot become a lesson."""

    SUPERSEDED = "superseded"
    BARE = "bare"
    EMPTY = "empty"
    """A hold on an empty reply."""
    SCOPE = "scope"
    """It is about more than its question. As a lesson it would be learned for that question, and
    unlearned for all similar ones, which must not change."""


class State(StrEnum):
    """The progress of a difference from the mark to the weights."""

    WAITING = "waiting"
    """Has a contrast (or is a hold) and waits for the next night."""
    BARE = "bare"
    """A mark without `sounds`, `missed` or `lost`: recalled, but not trained on."""
    TRAINED = "trained"
    """The current adapter was trained on it and reproduces it."""
    FAILING = "failing"
    """It was trained on, but the last night's gate did not find it reproduced."""


CONTRAST_LABELS = {"missed": "got wrong", "lost": "left out", "sounds": "better answer"}
"""What the fields of a contrast are called where they are shown."""
SCOPE_LABELS = {
    "here": "this question",
    "topic": "this subject",
    "when": "some replies",
    "everywhere": "every reply",
}
"""What the scopes of a mark are called where they are shown, after "for"."""
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, plain text without control tokens."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One user message and the reply to it.

    `surprisal` holds −ln p of each reply token under the model in use, in nats. `recalled` holds the
    ids of the differences in the prompt. `asked_surprisal` is the mean surprisal of the user's
    message given the conversation before it, in nats per token: high if the user wrote what the model
    did not expect.
    """

    id: str
    thread: str
    at: datetime
    asked: str
    replied: str
    model: str
    adapter: str | None = None
    recalled: tuple[str, ...] = ()
    surprisal: tuple[float, ...] = ()
    prompt_tokens: int = 0
    stopped: bool = False
    asked_surprisal: float | None = None

    @property
    def mean_surprisal(self) -> float | None:
        """Mean surprisal of the reply in nats per token; None if it was not measured."""
        return sum(self.surprisal) / len(self.surprisal) if self.surprisal else None


@dataclass(frozen=True, slots=True)
class Contrast:
    """The three optional lines of a difference."""

    missed: str | None = None
    lost: str | None = None
    sounds: str | None = None

    def __bool__(self) -> bool:
        return any((self.missed, self.lost, self.sounds))


@dataclass(frozen=True, slots=True)
class Span:
    """A quoted part of the reply: `quote` is `reply[start:end]`, offsets in characters.

    `prefix` and `suffix` are the text around it, so that the place can be found again in a changed
    text (the text quote selector of the W3C Web Annotation Data Model).
    """

    start: int
    end: int
    quote: str
    prefix: str = ""
    suffix: str = ""

    @classmethod
    def within(cls, reply: str, start: int, end: int) -> Span:
        """Return the span of `reply` between two offsets, with 32 characters around it."""
        before, after = reply[max(0, start - 32) : start], reply[end : end + 32]
        return cls(start, end, reply[start:end], before, after)


@dataclass(frozen=True, slots=True)
class Difference:
    """A marked turn: the question, the reply, and what the reply got wrong or right.

    `before` is the conversation in the prompt before `asked` (including the system prompt), as far as
    it is stored. `surprisal` is the mean surprisal of the reply and `next_surprisal` that of the
    user's next message, in nats per token, None if not measured. An edit increases `version` and
    keeps older versions in the journal. `superseded_by` is the id of the difference that replaces it:
    it is then neither recalled nor trained on. `recalled` counts the turns that had it in their
    context.
    """

    id: str
    turn: str
    thread: str
    at: datetime
    moment: Moment
    asked: str
    replied: str
    kind: str | None = None
    contrast: Contrast = field(default_factory=Contrast)
    note: str | None = None
    span: Span | None = None
    model: str = ""
    adapter: str | None = None
    state: State = State.WAITING
    before: tuple[Message, ...] = ()
    surprisal: float | None = None
    next_surprisal: float | None = None
    version: int = 1
    edited: datetime | None = None
    pinned: bool = False
    superseded_by: str | None = None
    recalled: int = 0
    scope: MarkScope = MarkScope.HERE
    condition: str | None = None
    """When it applies, in the user's words, if its scope is WHEN."""
    rules: tuple[str, ...] | None = None
    """Lines of the rules that replies must keep, as the user set them; None for those that the note
    states (`memory.reply_rules.rules_of`)."""

    @property
    def wanted(self) -> str:
        """What it says of how to reply: its most telling line; "" if it says nothing."""
        contrast, rules = self.contrast, "; ".join(self.rules or ())
        said = (contrast.sounds, contrast.missed, contrast.lost, self.note, rules)
        return next(filter(None, said), "")

    @property
    def teaches(self) -> bool:
        """Whether it can become a lesson: a hold, or a mark with a contrast; not superseded."""
        return self.untaught is None

    @property
    def untaught(self) -> Untaught | None:
        """Why it cannot become a lesson; None if it can."""
        if self.superseded_by is not None:
            return Untaught.SUPERSEDED
        if self.scope is not MarkScope.HERE:
            return Untaught.SCOPE
        if self.moment is not Moment.HOLD:
            return None if self.contrast else Untaught.BARE
        return None if self.replied.strip() or self.contrast else Untaught.EMPTY

    @property
    def fingerprint(self) -> str:
        """The sha256 (hexadecimal) of everything in the lesson; changes with an edit."""
        parts = (
            self.id,
            self.moment,
            self.asked,
            self.replied,
            self.contrast.missed,
            self.contrast.lost,
            self.contrast.sounds,
            self.span and (self.span.start, self.span.end),
            [(message.role, message.content) for message in self.before],
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def new_id() -> str:
    """Return a new random id of 16 hexadecimal characters."""
    return hashlib.sha256(secrets.token_bytes(32)).hexdigest()[:16]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def clean_field(name: str | Sentence, text: str | None) -> str | None:
    """Return a mark's text unchanged; None if it is blank.

    Raises:
        MarkError: longer than MAX_FIELD, or not encodable as UTF-8 (a lone surrogate).
    """
    if text is None:
        return None
    if len(text) > MAX_FIELD:
        raise MarkError(
            "the {name} has {count:,} characters and a mark stores at most {most:,}; shorten it "
            "and mark again",
            name=name,
            count=len(text),
            most=MAX_FIELD,
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MarkError(
            "the {name} contains an invalid character at position {start}; remove it and mark "
            "again",
            name=name,
            start=error.start,
        ) from error
    return text if text.strip() else None
