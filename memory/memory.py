"""The memory of one user: the journal and its index.

A mark is written to the journal before it is acknowledged. The index follows; if it cannot, keyword
search still finds the mark, and the next start updates the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from memory.difference import STANDING, Difference, MarkScope, Moment, Turn
from memory.errors import HomeError, MarkError
from memory.journal.journal import Journal
from memory.kinds import kinds
from memory.mark_validation import MarkRequest, change_mark, contradict, make_mark
from memory.recall.embedder import Embedder, NgramEmbedder
from memory.recall.hybrid_search import CANDIDATES, Recalled, nonce_of, render, search
from memory.recall.index import Index, OnProgress, open_index
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.recall.standing import render_standing, standing_budget
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import RecallSettings, Settings

TOPIC_FLOOR = 0.6
"""Share of `recall.floor` at which a difference about a subject is recalled: a question on the subject
shares fewer words with it than another wording of its question."""


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
        progress: OnProgress | None = None,
    ) -> Memory:
        """Open the memory of `home`; `dense` overrides the setting of the same name.

        `embedder` creates the embedder that `memory.embedder` names. The index is opened and updated
        in the background; with `progress` this waits for it.

        Raises:
            HomeError: the journal cannot be opened or written.
            SettingsError: the user's `kinds.toml` cannot be read.
        """
        kinds(home)
        journal = Journal(home.prepare().journal)
        wanted = settings.memory.dense if dense is None else dense
        # Without the embedding model that made the index, the index is left unchanged.
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
    def notice(self) -> Sentence | None:
        """A sentence on why only keyword search is used although vectors are on; None otherwise."""
        if self.index is not None:
            return self.index.notice
        if self._wanted:
            return Sentence("the index is in use by another process; using keyword search only")
        return None

    @property
    def index_pending(self) -> bool:
        """Whether only keyword search is used because the index is still being built."""
        return self.index is not None and self.index.pending

    def refresh(self) -> None:
        """Tell the index to read the journal again after a change by this or another process."""
        if self.index is not None:
            self.index.nudge()

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until the index is up to date; return False if it is not or there is none."""
        return self.index is not None and self.index.settle(timeout=timeout)

    def close(self) -> None:
        """Close the journal and the index."""
        if self.index is not None:
            self.index.close()
        self.journal.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def mark(self, turn: Turn, request: MarkRequest) -> Difference:
        """Mark `turn`; when this returns, the difference is on disk.

        It replaces an older mark that says the opposite about the same reply. The conversation before
        the turn is taken from the journal.

        Raises:
            MarkError: an unknown moment or kind, an empty or overlong text, a quote that is not part
                of the reply, or an expected reply equal to the marked one.
        """
        difference = make_mark(
            turn,
            request,
            said=self.journal.turns.before(turn),
            next_surprisal=self.journal.turns.next_surprisal(turn),
        )
        with self.journal.transaction():
            self.journal.differences.add(difference)
            self._replace_contradicted(difference)
        self.refresh()
        return difference

    def _replace_contradicted(self, newer: Difference) -> None:
        """Supersede the marks on the same reply that say the opposite."""
        for older in self.journal.differences.on_turns([newer.turn]):
            if older.superseded_by is None and contradict(older, newer):
                self.journal.differences.set_superseded(older.id, newer.id)

    def edit(  # noqa: PLR0913 - any field of a mark can be changed alone
        self,
        prefix: str,
        *,
        moment: Moment | str | None = None,
        kind: str | None = None,
        note: str | None = None,
        missed: str | None = None,
        lost: str | None = None,
        sounds: str | None = None,
        scope: str | None = None,
        condition: str | None = None,
        rules: str | None = None,
    ) -> Difference:
        """Change the given values ("" removes a text) and return the new version; the old one is kept.

        Raises:
            UnknownIdError: no difference has that id, or several do.
            MarkError: a text is refused as in `mark`.
        """
        with self.journal.transaction():  # so that no concurrent edit is lost
            old = self.journal.differences.get(prefix)
            new = change_mark(
                old,
                moment=moment,
                kind=kind,
                note=note,
                missed=missed,
                lost=lost,
                sounds=sounds,
                scope=scope,
                condition=condition,
                rules=rules,
            )
            if new != old:
                self.journal.differences.replace(new)
                if new.superseded_by is None:
                    self._replace_contradicted(new)
        return new

    def history(self, prefix: str) -> list[Difference]:
        """Return every version of a difference, oldest first, the current one last.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        present = self.journal.differences.get(prefix)
        return [*self.journal.differences.versions(present.id), present]

    def pin(self, prefix: str, on: bool = True) -> Difference:
        """Pin a difference, so that it comes first among equally relevant ones, or unpin it.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        item = self.journal.differences.get(prefix)
        self.journal.differences.set_pinned(item.id, on)
        return replace(item, pinned=on)

    def supersede(self, old: str, by: str) -> Difference:
        """Supersede one difference by another; it is then neither recalled nor trained on.

        Raises:
            UnknownIdError: one of them does not exist, or the id matches several.
            MarkError: they are the same, or the second was itself superseded by the first.
        """
        with self.journal.transaction():
            gone, taking = self.journal.differences.get(old), self.journal.differences.get(by)
            if gone.id == taking.id:
                raise MarkError(
                    "the difference {id} cannot supersede itself; give two different ids, the old "
                    "one first",
                    id=gone.id[:8],
                )
            after: Difference | None = taking
            while after is not None and after.superseded_by is not None:
                if after.superseded_by == gone.id:
                    raise MarkError(
                        "{newer} is already superseded by {older}, so they cannot supersede each "
                        "other; to remove the wrong one, run `discern memory forget {older}`",
                        newer=taking.id[:8],
                        older=gone.id[:8],
                    )
                after = next(iter(self.journal.differences.by_ids([after.superseded_by])), None)
            self.journal.differences.set_superseded(gone.id, taking.id)
        return replace(gone, superseded_by=taking.id)

    def undo(self, prefix: str) -> Difference:
        """Remove a mark and keep its turn; return the mark as it was.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        return self._remove(prefix, self.journal.forgetting.remove_mark)

    def forget(self, prefix: str) -> Difference:
        """Erase a difference everywhere, with the turn it was marked on; return it as it was.

        None of its text remains in the journal, in the conversations stored with later marks, in
        quarantine or in the index. The graph's checkpoints are the agent's
        (`agent.chat.marking.forget.forget`); adapters that were trained on it are named by
        `agent.forget.residual_copies`, and the next night trains without it.

        Raises:
            UnknownIdError: no difference has that id, or several do.
        """
        return self._remove(prefix, self.journal.forgetting.forget)

    def _remove(self, prefix: str, remove: Callable[[Difference], None]) -> Difference:
        difference = self.journal.differences.get(prefix)
        remove(difference)
        self.refresh()
        return difference

    def note_recalled(self, identities: Iterable[str]) -> None:
        """Count a turn that had these differences in its context."""
        self.journal.differences.count_recalled(identities)

    def rebuild(self, progress: OnProgress | None = None) -> int:
        """Rebuild the index from scratch; return how many differences it holds.

        Raises:
            HomeError: there is no index here, or it cannot be built.
        """
        if self.index is None:
            raise HomeError(
                "cannot build the index: {notice}",
                notice=self.notice or Sentence("memory.dense is false"),
            )
        return self.index.rebuild(progress)

    def search(
        self, text: str, *, limit: int | None = None, learned: Learned = NOTHING_LEARNED
    ) -> list[Recalled]:
        """Return what is relevant to `text`, ranked, including what is below the floor.

        `learned` is as in `recall`.
        """
        if not text.strip():
            return []
        wanted = self.settings.limit if limit is None else limit
        found = search(text, self.journal, self.index, self.embedder, limit=wanted, learned=learned)
        self.refresh()  # marks of another process are found by keywords now, by vectors next time
        return found

    def recall(
        self,
        text: str,
        *,
        count: Callable[[str], int],
        budget: int | None = None,
        limit: int | None = None,
        learned: Learned = NOTHING_LEARNED,
        nonce: bytes = b"",
    ) -> tuple[str, tuple[Recalled, ...]]:
        """Return the block of past differences for a message, and the items in it.

        `count` counts the tokens of a text; `budget` overrides `recall.token_budget` and `limit`
        `recall.limit`. What the current adapter has `learned` is left out. `nonce` is as in
        `memory.recall.hybrid_search.render`. Differences that apply to every reply come first, in a
        block of their own (`memory/recall/standing.py`).
        """
        most_items = self.settings.limit if limit is None else limit
        standing = [Recalled(item, 1.0, ()) for item in self.journal.differences.standing()]
        # Below their block, a learned question is no longer the prompt that was evaluated.
        learned = learned.continued(bool(standing))
        above = [
            item
            for item in self.search(text, limit=CANDIDATES, learned=learned)
            if item.score >= self._floor_of(item.difference)
            and item.difference.scope not in STANDING
        ][:most_items]
        return self.render([*standing, *above], count=count, budget=budget, nonce=nonce)

    def render(
        self,
        items: Sequence[Recalled],
        *,
        count: Callable[[str], int],
        budget: int | None = None,
        nonce: bytes = b"",
    ) -> tuple[str, tuple[Recalled, ...]]:
        """Return the text that puts `items` into a prompt, and those that fit; see `recall`."""
        most = self.settings.token_budget if budget is None else budget
        about_it = [item for item in items if item.difference.scope not in STANDING]
        block, kept = render(about_it, budget=most, count=count, nonce=nonce)
        preferences, in_force = render_standing(
            [item.difference for item in items if item.difference.scope in STANDING],
            budget=standing_budget(self.settings, most),
            count=count,
            nonce=nonce_of(nonce),
        )
        known = {item.difference.id: item for item in items}
        first = (known[difference.id] for difference in in_force)
        return "\n\n".join(filter(None, (preferences, block))), (*first, *kept)

    def standing_left_out(
        self, *, count: Callable[[str], int], budget: int | None = None
    ) -> tuple[Difference, ...]:
        """Return the marks about every reply for which their part of the context has no room.

        The arguments are as in `recall`.
        """
        most = self.settings.token_budget if budget is None else budget
        items = self.journal.differences.standing()
        _block, in_force = render_standing(
            items, budget=standing_budget(self.settings, most), count=count, nonce=nonce_of(b"")
        )
        kept = {item.id for item in in_force}
        return tuple(item for item in items if item.id not in kept)

    def _floor_of(self, difference: Difference) -> float:
        """Return the least relevance at which a difference is recalled."""
        of_topic = difference.scope is MarkScope.TOPIC
        return self.settings.floor * (TOPIC_FLOOR if of_topic else 1.0)
