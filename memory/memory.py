"""The memory of one user: the journal and its index, held together.

A mark is written to the journal first and acknowledged only then; the index follows, and when it
cannot, recall by words still finds the mark and the next start brings the index up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from memory.difference import (
    Contrast,
    Difference,
    Moment,
    Span,
    State,
    Turn,
    clean_field,
    new_id,
    now,
)
from memory.embed import Embedder, NgramEmbedder
from memory.errors import MarkError
from memory.home import Home, RecallSettings, Settings
from memory.index import Index, Progress, open_index
from memory.journal import Journal
from memory.kinds import require_kind
from memory.recall import Recalled, render, search


@dataclass(slots=True)
class Memory:
    """An open memory; close it, or use it with `with`."""

    journal: Journal
    index: Index | None
    embedder: Embedder
    settings: RecallSettings
    import_max_mb: int = 64
    _watermark: tuple[int, int] = field(default=(-1, -1))

    @classmethod
    def open(
        cls,
        home: Home,
        settings: Settings,
        *,
        dense: bool | None = None,
        progress: Progress | None = None,
    ) -> Memory:
        """Open the memory of `home`; `dense` overrides the setting of the same name.

        Raises:
            HomeError: the journal cannot be opened or written.
        """
        journal = Journal(home.prepare().journal)
        embedder = NgramEmbedder()
        wanted = settings.memory.dense if dense is None else dense
        index = open_index(home.index, embedder) if wanted else None
        memory = cls(journal, index, embedder, settings.recall, settings.memory.import_max_mb)
        memory.refresh(progress)
        return memory

    def refresh(self, progress: Progress | None = None) -> None:
        """Bring the index up to the journal, which another process may have written to."""
        if self.index is not None and (mark := self.journal.watermark()) != self._watermark:
            self.index.sync(self.journal.differences(), progress)
            self._watermark = mark

    def close(self) -> None:
        """Close the journal and give up the index."""
        if self.index is not None:
            self.index.close()
        self.journal.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def mark(
        self,
        turn: Turn,
        moment: Moment | str,
        *,
        kind: str | None = None,
        note: str | None = None,
        missed: str | None = None,
        lost: str | None = None,
        sounds: str | None = None,
        quote: str | None = None,
        identity: str | None = None,
    ) -> Difference:
        """Keep the marked moment of `turn`; when this returns it is on disk.

        `quote` is a part of the reply, word for word, that the mark is about. `identity` names the
        difference; a fresh id is made when none is given.

        Raises:
            MarkError: an unknown moment or kind, an empty or overlong text, a quote that does not
                stand in the reply, or an expected reply equal to the marked one.
        """
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
                clean_field("missed line", missed),
                clean_field("lost line", lost),
                _expected(sounds, turn, moment),
            ),
            note=clean_field("note", note),
            span=_span(quote, turn.replied),
            model=turn.model,
            adapter=turn.adapter,
        )
        if not difference.teaches:
            difference = replace(difference, state=State.BARE)
        self.journal.add_difference(difference)
        if self.index is not None:
            self.index.add([difference])
            self._watermark = self.journal.watermark()
        return difference

    def forget(self, prefix: str) -> Difference:
        """Remove the difference whose id starts with `prefix`, everywhere; returns what it was.

        Raises:
            UnknownIdError: none does, or several do.
        """
        difference = self.journal.difference(prefix)
        self.journal.forget(difference.id)
        if self.index is not None:
            self.index.remove(difference.id)
            self._watermark = self.journal.watermark()
        return difference

    def search(self, text: str, *, limit: int | None = None) -> list[Recalled]:
        """Return what bears on `text`, ranked, also what stays under the floor."""
        self.refresh()
        wanted = self.settings.limit if limit is None else limit
        return search(text, self.journal, self.index, self.embedder, limit=wanted)

    def recall(
        self,
        text: str,
        *,
        count: Callable[[str], int],
        budget: int | None = None,
        limit: int | None = None,
    ) -> tuple[str, tuple[Recalled, ...]]:
        """Return the block of past differences for a message and the items in it.

        `count` gives the tokens of a text; `budget` overrides `recall.token_budget` and
        `limit` `recall.limit`.
        """
        above = [
            item for item in self.search(text, limit=limit) if item.score >= self.settings.floor
        ]
        most = self.settings.token_budget if budget is None else budget
        return render(above, budget=most, count=count)


def _moment(moment: Moment | str) -> Moment:
    try:
        return Moment(moment)
    except ValueError:
        raise MarkError(f"{moment!r} is not a moment; mark with error, surprise or hold") from None


def _expected(sounds: str | None, turn: Turn, moment: Moment | str) -> str | None:
    text = clean_field("expected reply", sounds)
    if sounds is not None and text is None:
        raise MarkError(
            "nothing follows =>; write how the reply should have sounded after it, or leave => out"
        )
    if text is not None and text == turn.replied.strip() and moment != Moment.HOLD:
        raise MarkError(
            "what follows => is the very reply that was given; to keep a good reply mark it with "
            "`/diff hold`"
        )
    return text


def _span(quote: str | None, reply: str) -> Span | None:
    if quote is None:
        return None
    start = reply.find(quote) if quote else -1
    if start < 0:
        raise MarkError(
            f"the quoted part {quote[:40]!r} does not stand in the reply; select it again"
        )
    return Span(start, start + len(quote), quote)
