"""Determine which part of a reply a lesson is about.

A mark on a span says that only this part of the reply was wrong. `sounds` then usually replaces only
the span ("Lutz" for "Paris"), and the rest of the reply is accepted. The contrast between the chosen
and the rejected reply counts only the tokens in which they differ, so that the rest becomes neither
more nor less likely. Token ranges are half open, counted from the first token of the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memory.difference import Difference, Moment, Span

Range = tuple[int, int]
_ENDS = ".!?…"


def replaces_span(difference: Difference) -> bool:
    """Whether `sounds` replaces the marked span rather than the whole reply.

    It replaces the whole reply if it repeats what is right before or after the span, or is a complete
    sentence although the span is a part of one.
    """
    span, sounds = difference.span, difference.contrast.sounds
    if span is None or not sounds or difference.moment is Moment.HOLD:
        return False
    before = difference.replied[: span.start].split()
    after = difference.replied[span.end :].split()
    if not before and not after:
        return False
    words = sounds.split()
    # Two words are enough evidence, or all words if there are fewer.
    if before and words[: min(2, len(before))] == before[:2]:
        return False
    if after and len(words) > len(after[-2:]) and words[-min(2, len(after)) :] == after[-2:]:
        return False
    inside = bool(after) and not span.quote.rstrip().endswith(tuple(_ENDS))
    return not (inside and len(words) > 1 and sounds.rstrip().endswith(tuple(_ENDS)))


def expected_reply(difference: Difference, siblings: Sequence[Difference] = ()) -> str | None:
    """Return the whole reply that the difference expects, None if it expects none.

    `siblings` are the other marks that replace a span of the same reply. Their corrections are applied
    too, or this lesson would teach their errors. Where spans overlap, this difference counts.
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


def contrasted_tokens(
    chosen: Sequence[int], rejected: Sequence[int], marked: Range | None = None
) -> tuple[Range, Range]:
    """Return the tokens of `chosen` and of `rejected` that the contrast counts.

    These are the tokens between the common beginning and the common end; `marked`, if given, replaces
    the range of `rejected`. Neither range is empty: after a deletion it is the next token.
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
    """Return the tokens of `reply` (stripped, as in training) that overlap `span`.

    None if the span was stripped.
    """
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
        last += 1  # a token that begins inside the span and ends after it
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
