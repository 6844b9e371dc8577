"""The first version of a mark, and the next ones: checked and cleaned, with the state that follows.

Refuses (`MarkError`) unknown moments and kinds, texts that are too long or cannot be written, a quote
that does not stand in the reply, and an expected reply that is the one that was given.
"""

from __future__ import annotations

from dataclasses import replace

from memory.difference import (
    Contrast,
    Difference,
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


def make_mark(
    turn: Turn,
    moment: Moment | str,
    *,
    kind: str | None,
    note: str | None,
    missed: str | None,
    lost: str | None,
    sounds: str | None,
    quote: str | None,
    quote_at: int | None = None,
    identity: str | None,
    before: tuple[Message, ...],
    next_surprisal: float | None,
) -> Difference:
    """Return the difference that marks `turn`; nothing is kept yet.

    Raises:
        MarkError: it cannot be kept; see above.
    """
    expected = clean_field("expected reply", sounds)
    if sounds is not None and expected is None:
        raise MarkError(
            "nothing follows =>; write how the reply should have sounded after it, or leave => out"
        )
    difference = Difference(
        id=identity or new_id(),
        turn=turn.id,
        thread=turn.thread,
        at=now(),
        moment=_moment(moment),
        asked=turn.asked,
        replied=turn.replied,
        kind=require_kind(kind).name if kind else None,
        contrast=Contrast(
            clean_field("missed line", missed), clean_field("lost line", lost), expected
        ),
        note=clean_field("note", note),
        span=_span(quote, turn.replied, quote_at),
        model=turn.model,
        adapter=turn.adapter,
        before=before,
        surprisal=turn.mean_surprisal,
        next_surprisal=next_surprisal,
    )
    _refuse_the_same(difference)
    return replace(difference, state=_fresh(difference))


def change_mark(
    old: Difference,
    *,
    moment: Moment | str | None,
    kind: str | None,
    note: str | None,
    missed: str | None,
    lost: str | None,
    sounds: str | None,
) -> Difference:
    """Return the next version of `old` with what is given ("" takes a text away); `old` if the same.

    Raises:
        MarkError: it cannot be kept; see above.
    """

    def line(name: str, given: str | None, present: str | None) -> str | None:
        return present if given is None else clean_field(name, given)

    new = replace(
        old,
        moment=old.moment if moment is None else _moment(moment),
        kind=old.kind if kind is None else require_kind(kind).name if kind else None,
        note=line("note", note, old.note),
        contrast=Contrast(
            line("missed line", missed, old.contrast.missed),
            line("lost line", lost, old.contrast.lost),
            line("expected reply", sounds, old.contrast.sounds),
        ),
    )
    if new == old:
        return old
    _refuse_the_same(new)
    # A note or a kind is not trained on: what was learnt stays learnt.
    state = old.state if new.fingerprint == old.fingerprint else _fresh(new)
    return replace(new, version=old.version + 1, edited=now(), state=state)


def _fresh(difference: Difference) -> State:
    return State.WAITING if difference.teaches else State.BARE


def _moment(moment: Moment | str) -> Moment:
    try:
        return Moment(moment)
    except ValueError:
        raise MarkError(f"{moment!r} is not a moment; mark with error, surprise or hold") from None


def _refuse_the_same(difference: Difference) -> None:
    sounds = difference.contrast.sounds
    if sounds == difference.replied.strip() and difference.moment is not Moment.HOLD:
        raise MarkError(
            "what follows => is the very reply that was given; to keep a good reply mark it with "
            "`/diff hold`"
        )


def _span(quote: str | None, reply: str, at: int | None) -> Span | None:
    if quote is None:
        return None
    stands = at is not None and at >= 0 and quote and reply.startswith(quote, at)
    start = at if stands and at is not None else reply.find(quote) if quote else -1
    if start < 0:
        raise MarkError(
            f"the quoted part {quote[:40]!r} does not stand in the reply; select it again"
        )
    return Span.within(reply, start, start + len(quote))
