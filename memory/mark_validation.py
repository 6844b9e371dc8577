"""Create and change marks: validate them, clean their text and set the state that follows.

`MarkError` is raised for unknown moments and kinds, texts that are too long or cannot be encoded, a
quote that is not part of the reply, and an expected reply that equals the given one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.difference import (
    Contrast,
    Difference,
    MarkScope,
    Message,
    Moment,
    Span,
    State,
    Turn,
    clean_field,
    new_id,
    now,
)
from memory.errors import MarkError
from memory.kinds import require_kind
from memory.moments import require_moment
from memory.sentence import Sentence

MAX_CONDITION = 200
"""Longest condition of a scope, in characters."""
MOST_RULES = 20
"""Most rules of a mark."""


@dataclass(frozen=True, slots=True)
class MarkRequest:
    """What a mark says about a turn.

    `quote` is the part of the reply that the mark is about, word for word; `quote_at` is its offset,
    in case it occurs more than once. `identity` is the id of the difference, by default a new one.
    `system` is the system prompt that the reply was given under.
    """

    moment: Moment | str
    kind: str | None = None
    note: str | None = None
    missed: str | None = None
    lost: str | None = None
    sounds: str | None = None
    quote: str | None = None
    quote_at: int | None = None
    identity: str | None = None
    system: str = ""
    scope: MarkScope | str | None = None
    """By default WHEN with a `condition`, else HERE."""
    condition: str | None = None
    rules: str | None = None
    """Lines of rules that replies must keep (`memory/reply_rules.py`), "" for none; by default those
    that the note states."""


def make_mark(
    turn: Turn, request: MarkRequest, *, said: tuple[Message, ...], next_surprisal: float | None
) -> Difference:
    """Return the difference that marks `turn`, without storing it.

    `said` is the conversation before the turn.

    Raises:
        MarkError: it is refused; see above.
    """
    expected = clean_field(Sentence("better answer"), request.sounds)
    if request.sounds is not None and expected is None:
        raise MarkError("there is no text after =>; add the better answer, or remove =>")
    scope, condition = checked_scope(request.scope, request.condition)
    difference = Difference(
        id=request.identity or new_id(),
        turn=turn.id,
        thread=turn.thread,
        at=now(),
        moment=require_moment(request.moment),
        asked=turn.asked,
        replied=turn.replied,
        kind=require_kind(request.kind).name if request.kind else None,
        contrast=Contrast(
            clean_field(Sentence("missed line"), request.missed),
            clean_field(Sentence("lost line"), request.lost),
            expected,
        ),
        note=clean_field(Sentence("note"), request.note),
        span=_span(request.quote, turn.replied, request.quote_at),
        model=turn.model,
        adapter=turn.adapter,
        before=(Message("system", request.system), *said) if request.system else said,
        surprisal=turn.mean_surprisal,
        next_surprisal=next_surprisal,
        scope=scope,
        condition=condition,
        rules=checked_rules(request.rules),
    )
    _refuse_useless(difference)
    return replace(difference, state=_fresh(difference))


def change_mark(  # noqa: PLR0913 - any field of a mark can be changed alone
    old: Difference,
    *,
    moment: Moment | str | None,
    kind: str | None,
    note: str | None,
    missed: str | None,
    lost: str | None,
    sounds: str | None,
    scope: MarkScope | str | None,
    condition: str | None,
    rules: str | None,
) -> Difference:
    """Return the next version of `old` with the given values; `old` itself if nothing changes.

    An empty text removes the old one.

    Raises:
        MarkError: it is refused; see above.
    """

    def line(name: Sentence, given: str | None, present: str | None) -> str | None:
        return present if given is None else clean_field(name, given)

    if scope is None and condition is None:
        new_scope, new_condition = old.scope, old.condition
    else:
        if condition is None and scope == MarkScope.WHEN:
            condition = old.condition
        new_scope, new_condition = checked_scope(scope, condition or None)
    new = replace(
        old,
        scope=new_scope,
        condition=new_condition,
        rules=old.rules if rules is None else checked_rules(rules),
        moment=old.moment if moment is None else require_moment(moment),
        kind=old.kind if kind is None else require_kind(kind).name if kind else None,
        note=line(Sentence("note"), note, old.note),
        contrast=Contrast(
            line(Sentence("missed line"), missed, old.contrast.missed),
            line(Sentence("lost line"), lost, old.contrast.lost),
            line(Sentence("better answer"), sounds, old.contrast.sounds),
        ),
    )
    if new == old:
        return old
    _refuse_useless(new)
    # Notes and kinds are not trained on, so the state stays.
    same = new.fingerprint == old.fingerprint and new.teaches == old.teaches
    state = old.state if same else _fresh(new)
    return replace(new, version=old.version + 1, edited=now(), state=state)


def _fresh(difference: Difference) -> State:
    return State.WAITING if difference.teaches else State.BARE


def contradict(one: Difference, other: Difference) -> bool:
    """Whether one of two marks on the same reply says that it is good and the other that it is not.

    Parts that do not overlap do not contradict each other.
    """
    holds = [item for item in (one, other) if item.moment is Moment.HOLD]
    if len(holds) != 1:
        return False
    against = other if holds[0] is one else one
    if against.moment is not Moment.ERROR and not against.contrast.sounds:
        return False
    ours, theirs = one.span, other.span
    return ours is None or theirs is None or (ours.start < theirs.end and theirs.start < ours.end)


def require_scope(text: MarkScope | str) -> MarkScope:
    """Return the scope with this name.

    Raises:
        MarkError: there is none.
    """
    try:
        return MarkScope(str(text).strip().lower())
    except ValueError:
        raise MarkError(
            "there is no scope named {text!r}; use here, topic, everywhere, or when with a condition",
            text=str(text)[:40],
        ) from None


def checked_scope(
    scope: MarkScope | str | None, condition: str | None
) -> tuple[MarkScope, str | None]:
    """Return a scope and its condition.

    Raises:
        MarkError: they do not go together, or the condition is too long.
    """
    said = clean_field(Sentence("condition"), condition)
    wanted = MarkScope.HERE if scope is None else require_scope(scope)
    if scope is None and condition is not None:
        wanted = MarkScope.WHEN
    if wanted is MarkScope.WHEN and said is None:
        raise MarkError(
            "the scope needs a condition; say when it applies, for example when: I ask for code"
        )
    if said is not None and wanted is not MarkScope.WHEN:
        raise MarkError(
            "a condition does not go with the scope {scope}; leave one of them out", scope=wanted
        )
    if said is not None and len(said) > MAX_CONDITION:
        raise MarkError(
            "the condition has {count} characters and may have at most {most}; shorten it",
            count=len(said),
            most=MAX_CONDITION,
        )
    return wanted, said


def checked_rules(lines: str | None) -> tuple[str, ...] | None:
    """Return lines of rules in their usual form, each once; None if none are given.

    Raises:
        MarkError: a line is no rule or cannot be encoded, or there are too many.
    """
    if lines is None:
        return None
    clean_field(Sentence("rule"), lines)
    from memory.reply_rules import parse_rule  # its patterns take a while to compile

    found = dict.fromkeys(str(parse_rule(line)) for line in lines.splitlines() if line.strip())
    if len(found) > MOST_RULES:
        raise MarkError(
            "a mark has {count} rules and may have at most {most}; leave some out",
            count=len(found),
            most=MOST_RULES,
        )
    return tuple(found)


def require_usable_scope(scope: MarkScope, moment: Moment, says_how: bool) -> None:
    """Refuse a scope that a mark of this moment cannot have, or that says nothing about replies.

    Raises:
        MarkError: see above.
    """
    if scope is MarkScope.HERE:
        return
    if moment is Moment.HOLD:
        raise MarkError("a hold keeps one reply, so its scope is always here; leave the scope out")
    if not says_how:
        raise MarkError(
            "a mark for more than one question must say how to reply; add a note, rule:, missed:, "
            "lost: or => with a better answer"
        )


def refuse_rules_for_one(scope: MarkScope, rules: Sequence[str] | None) -> None:
    """Refuse rules of a mark on one question: they are about replies that are still to come.

    Raises:
        MarkError: see above.
    """
    if rules and scope is MarkScope.HERE:
        raise MarkError(
            "a rule is about more than one question; add scope:topic, scope:everywhere, or when: and a "
            "condition, or leave the rule out"
        )


def _refuse_useless(difference: Difference) -> None:
    require_usable_scope(difference.scope, difference.moment, bool(difference.wanted))
    refuse_rules_for_one(difference.scope, difference.rules)
    sounds, span = difference.contrast.sounds, difference.span
    the_same = bool(sounds) and (sounds or "").strip() == difference.replied.strip()
    if difference.moment is Moment.HOLD:
        if sounds and not the_same:
            raise MarkError(
                "a hold keeps the reply as it is, but this mark has a better answer; remove the "
                "answer, or mark the reply as an error"
            )
    elif the_same:
        raise MarkError(
            "the text after => is the same as the reply; to keep a good reply, mark it with "
            "`/diff hold`"
        )
    elif sounds and span is not None and sounds == span.quote.strip():
        raise MarkError(
            "the text after => is the same as the marked part; write what should replace it"
        )


def _span(quote: str | None, reply: str, at: int | None) -> Span | None:
    if quote is None:
        return None
    if not any(char.isprintable() and not char.isspace() for char in quote):
        raise MarkError("the marked part has no visible characters; select words of the reply")
    stands = at is not None and at >= 0 and quote and reply.startswith(quote, at)
    start = at if stands and at is not None else reply.find(quote) if quote else -1
    if start < 0:
        raise MarkError(
            "the marked part {quote!r} is not in the reply; select it again",
            quote=quote[:40],
        )
    return Span.within(reply, start, start + len(quote))
