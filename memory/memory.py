"""The memory of one user: the journal and its index, held together.

A mark is written to the journal first and acknowledged only then; the index follows, and when it
cannot, recall by words still finds the mark and the next start brings the index up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

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
from memory.errors import HomeError, MarkError
from memory.home import Home, RecallSettings, Settings
from memory.index import Index, Progress, open_index
from memory.journal import Journal
from memory.kinds import kinds, require_kind
from memory.recall import Recalled, render, search


@dataclass(slots=True)
class Memory:
    """An open memory; close it, or use it with `with`."""

    journal: Journal
    index: Index | None
    embedder: Embedder
    settings: RecallSettings
    import_max_mb: int = 64
    _wanted: bool = False

    @classmethod
    def open(
        cls,
        home: Home,
        settings: Settings,
        *,
        dense: bool | None = None,
        embedder: Callable[[], Embedder] | None = None,
        progress: Progress | None = None,
    ) -> Memory:
        """Open the memory of `home`; `dense` overrides the setting of the same name.

        `embedder` makes the one that `memory.embedder` names. The index is opened and brought up to
        the journal in the background; with `progress` this waits for it.

        Raises:
            HomeError: the journal cannot be opened or written.
            SettingsError: the person's file of kinds cannot be read.
        """
        kinds(home)
        journal = Journal(home.prepare().journal)
        wanted = settings.memory.dense if dense is None else dense
        # Without the model that the index was made with it is left as it is.
        if wanted and (embedder is not None or not settings.memory.embedder):
            index = open_index(home, settings.memory, journal, embedder or NgramEmbedder)
        else:
            index = None
        memory = cls(
            journal, index, NgramEmbedder(), settings.recall, settings.memory.import_max_mb, wanted
        )
        if index is not None and progress is not None:
            index.settle(progress)
        return memory

    @property
    def notice(self) -> str | None:
        """A sentence on why recall goes by words alone though vectors are wanted; None otherwise."""
        if self.index is not None:
            return self.index.notice
        if self._wanted:
            return "another process holds the index; recall goes by words alone here"
        return None

    def refresh(self) -> None:
        """Have the index look at the journal, which this or another process has written to."""
        if self.index is not None:
            self.index.nudge()

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until the index is level with the journal; False where it is not or there is none."""
        return self.index is not None and self.index.settle(timeout=timeout)

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
            before=self.journal.before(turn),
            surprisal=turn.mean_surprisal,
            next_surprisal=self.journal.next_surprisal(turn),
        )
        if not difference.teaches:
            difference = replace(difference, state=State.BARE)
        self.journal.add_difference(difference)
        self.refresh()
        return difference

    def edit(
        self,
        prefix: str,
        *,
        moment: Moment | str | None = None,
        kind: str | None = None,
        note: str | None = None,
        missed: str | None = None,
        lost: str | None = None,
        sounds: str | None = None,
    ) -> Difference:
        """Change what is given ("" takes a text away) and return the new version; the old is kept.

        Raises:
            UnknownIdError: no difference has that id, or several do.
            MarkError: a text is refused as in `mark`.
        """
        old = self.journal.difference(prefix)

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
        _check_expected(new.contrast.sounds, new.replied, new.moment)
        new = replace(new, version=old.version + 1, edited=now())
        # A note or a kind is not trained on: what was learnt stays learnt.
        if new.fingerprint != old.fingerprint:
            new = replace(new, state=State.WAITING if new.teaches else State.BARE)
        self.journal.replace_difference(new)
        return new

    def history(self, prefix: str) -> list[Difference]:
        """Return every version of a difference, oldest first, the present one last.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        present = self.journal.difference(prefix)
        return [*self.journal.versions(present.id), present]

    def pin(self, prefix: str, on: bool = True) -> Difference:
        """Pin a difference, so that it comes first of equals, or unpin it.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        item = self.journal.difference(prefix)
        self.journal.set_pinned(item.id, on)
        return replace(item, pinned=on)

    def supersede(self, old: str, by: str) -> Difference:
        """Let one difference take another's place, which is then neither recalled nor trained on.

        Raises:
            UnknownIdError: one of them does not exist, or the id fits several.
            MarkError: they are the same, or the second was itself superseded by the first.
        """
        gone, taking = self.journal.difference(old), self.journal.difference(by)
        if gone.id == taking.id:
            raise MarkError(
                f"the difference {gone.id[:8]} cannot supersede itself; name two, the old one first"
            )
        after: Difference | None = taking
        while after is not None and after.superseded_by is not None:
            if after.superseded_by == gone.id:
                raise MarkError(
                    f"{taking.id[:8]} was superseded by {gone.id[:8]} before, they cannot replace each "
                    f"other; `discern memory forget {gone.id[:8]}` removes the one that is wrong"
                )
            after = next(iter(self.journal.found([after.superseded_by])), None)
        self.journal.set_superseded(gone.id, taking.id)
        return replace(gone, superseded_by=taking.id)

    def undo(self, prefix: str) -> Difference:
        """Take a mark back; the talk that it was made on stays. Returns what it was.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        return self._remove(prefix, self.journal.remove_mark)

    def forget(self, prefix: str) -> Difference:
        """Remove a difference everywhere, with the turn it was marked on; returns what it was.

        No text of it stays in the journal, in what later marks remember, in quarantine or in the
        index. The graph's checkpoints are the agent's (`Chat.forget`); adapters that were trained on
        it are named by `agent.leftovers`, and the next night trains without it.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        return self._remove(prefix, self.journal.forget)

    def _remove(self, prefix: str, remove: Callable[[Difference], None]) -> Difference:
        difference = self.journal.difference(prefix)
        remove(difference)
        self.refresh()
        return difference

    def note_recalled(self, identities: Iterable[str]) -> None:
        """Count a turn in whose context these differences stood."""
        self.journal.count_recalled(identities)

    def rebuild(self, progress: Progress | None = None) -> int:
        """Make the index from nothing; returns how many differences it holds.

        Raises:
            HomeError: there is no index here, or it cannot be made.
        """
        if self.index is None:
            raise HomeError(f"the index cannot be made: {self.notice or 'memory.dense is false'}")
        return self.index.rebuild(progress)

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
    _check_expected(text, turn.replied, moment)
    return text


def _check_expected(sounds: str | None, replied: str, moment: Moment | str) -> None:
    if sounds is not None and sounds == replied.strip() and moment != Moment.HOLD:
        raise MarkError(
            "what follows => is the very reply that was given; to keep a good reply mark it with "
            "`/diff hold`"
        )


def _span(quote: str | None, reply: str) -> Span | None:
    if quote is None:
        return None
    start = reply.find(quote) if quote else -1
    if start < 0:
        raise MarkError(
            f"the quoted part {quote[:40]!r} does not stand in the reply; select it again"
        )
    return Span(start, start + len(quote), quote)
