"""Which part of a reply a lesson is about.

A mark on a span says that only this part of the reply did not hold. `sounds` then usually replaces
only the span ("Lutz" for "Paris"), and the rest of the reply stays the person's accepted text. The
contrast between the chosen and the rejected reply counts only the tokens where they part, so that the
rest is neither pushed up nor down. Token ranges are half open, counted from the reply's first token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memory.difference import Difference, Moment, Span

Range = tuple[int, int]
_ENDS = ".!?…"


def replaces_span(difference: Difference) -> bool:
    """Whether `sounds` stands for the marked span alone and not for the whole reply.

    It stands for the whole when it repeats what stood right before or after the span, or is a
    sentence of its own where the span is a part of one.
    """
    span, sounds = difference.span, difference.contrast.sounds
    if span is None or not sounds or difference.moment is Moment.HOLD:
        return False
    before = difference.replied[: span.start].split()
    after = difference.replied[span.end :].split()
    if not before and not after:
        return False
    words = sounds.split()
    # Two words are proof enough, or all that there are.
    if before and words[: min(2, len(before))] == before[:2]:
        return False
    if after and len(words) > len(after[-2:]) and words[-min(2, len(after)) :] == after[-2:]:
        return False
    inside = bool(after) and not span.quote.rstrip().endswith(tuple(_ENDS))
    return not (inside and len(words) > 1 and sounds.rstrip().endswith(tuple(_ENDS)))


def expected_reply(difference: Difference, siblings: Sequence[Difference] = ()) -> str | None:
    """Return the whole reply that the difference wants, None when it says nothing of it.

    `siblings` are the other marks that replace a span of the same reply: what they mend is mended
    here too, or this lesson would teach their fault. Of overlapping spans this difference's counts.
    """
    sounds, span = difference.contrast.sounds, difference.span
    changes: list[tuple[Span, str]] = []
    if difference.moment is Moment.HOLD:
        changes = [(span, span.quote)] if span else []
    elif not sounds:
        return None
    elif span is None or not replaces_span(difference):
        return sounds
    else:
        changes = [(span, sounds.strip())]
    for other in sorted(siblings, key=lambda item: item.at, reverse=True):
        if (
            other.span
            and other.contrast.sounds
            and not any(
                other.span.start < taken.end and taken.start < other.span.end
                for taken, _ in changes
            )
        ):
            changes.append((other.span, other.contrast.sounds.strip()))
    reply = difference.replied
    for part, text in sorted(changes, key=lambda change: -change[0].start):
        reply = reply[: part.start] + text + reply[part.end :]
    return reply


def parting(
    chosen: Sequence[int], rejected: Sequence[int], marked: Range | None = None
) -> tuple[Range, Range]:
    """Return the tokens of `chosen` and of `rejected` that their contrast counts.

    They are what remains without the common beginning and end; `marked`, when given, is that of
    `rejected` instead. Neither is ever empty (the token after a cut stands for what was left out).
    """
    shortest = min(len(chosen), len(rejected))
    start = _shared(chosen, rejected)
    end = 0
    while end < shortest - start and chosen[-1 - end] == rejected[-1 - end]:
        end += 1
    ours = (start, len(chosen) - end)
    theirs = marked or (start, len(rejected) - end)
    return _some(ours, len(chosen)), _some(theirs, len(rejected))


def token_range(tokenize: Callable[[str], Sequence[int]], reply: str, span: Span) -> Range | None:
    """Return the tokens of `reply` (stripped, as it is trained on) that touch `span`; None when the
    span lies in what was stripped."""
    text = reply.strip()
    shift = len(reply) - len(reply.lstrip())
    start, end = max(0, span.start - shift), min(len(text), span.end - shift)
    if start >= end:
        return None
    tokens = tokenize(text)
    first = _shared(tokens, tokenize(text[:start]))
    head = tokenize(text[:end])
    last = _shared(tokens, head)
    if last < len(head):
        last += 1  # a token that begins inside the span and ends behind it
    return _some((first, last), len(tokens))


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _some(found: Range, length: int) -> Range:
    start, end = found
    if end > start:
        return found
    start = min(start, length - 1)
    return start, start + 1
