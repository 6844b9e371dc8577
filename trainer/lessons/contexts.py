"""Put marked questions into other contexts than a new thread.

An adapter that is right in a new thread can fail where users ask next: again in the thread of the mark,
after the wrong reply and later turns; after other marked questions or look-alikes in one thread; below
a block of recalled differences, its own or others. Training therefore covers all of these contexts, for
lessons and for anchors, and the gate asks in them. The block of marks about every reply, if there are
any, is above all other blocks, as in the chat, and makes contexts of its own. The reply to an anchor in
a context is the base's own, used only if the base says the same in a new thread: otherwise the context
changed the answer. Only marks about every reply are meant to. Pure and deterministic.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from memory.difference import STANDING, Contrast, Difference, Message, Moment
from memory.errors import ModelError
from memory.recall.hybrid_search import Recalled, nonce_of, render
from memory.recall.standing import render_standing, standing_budget
from memory.text.stemming import stems
from trainer.lessons.lesson import Asker, Lesson, Question

if TYPE_CHECKING:
    from datetime import datetime

    from memory.journal.journal import Journal
    from memory.settings.settings import Settings
    from trainer.lessons.anchors.base_answers import Anchor

_Item = TypeVar("_Item")
MAX_CONTEXT_TOKENS = 320
"""Most tokens of the conversation before a question; the oldest exchanges are dropped first."""
LATEST = 20
"""Number of the latest turns of a thread that are used."""
AMONG = 3
"""Other marked questions that are asked in one thread before a lesson's question."""
EXCHANGES = (1, 1, 2, 3, 8)
"""Numbers of exchanges before a question, of which one is drawn."""
EVERY = 4
"""One of this many wordings of a lesson, and of anchors, is asked in a conversation, and another one
below a recalled block. With one of twelve, a marked question was answered wrongly in its own thread.
Anchors that share a word with a marked question are asked in a conversation twice as often."""
ASKED_AGAIN = 4
"""Most conversations in which a lesson's own question is asked for training only, half of them with its
own block, as in the chat: two for each other lesson. A single lesson is learned in few steps, of which
they would take most, and spread further."""
NEAREST = 16
"""Look-alikes of a question from which the exchanges before it are drawn."""
ANSWERED = 8
"""Prompts answered from a block that is not a lesson, because later marks are recalled together with
this adapter."""
BLOCK_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt in a context, whose answer must stay the same.

    It has the question, the tokens, and the base's answer without the context, which the base must
    repeat for the prompt to be used; None if it need not.
    """

    text: str
    prompt: tuple[int, ...]
    same_as: str | None


@dataclass(frozen=True, slots=True)
class BaseExchanges:
    """Answers of the base, to unrelated prompts and to near misses, to put before a question."""

    small_talk: Sequence[Anchor] = ()
    look_alikes: Sequence[Anchor] = ()


def current_threads(
    journal: Journal, differences: Sequence[Difference]
) -> dict[str, tuple[Message, ...]]:
    """Return the current thread of each difference, by the difference's id.

    If the thread is gone, it is the conversation stored with the mark, and the marked exchange.
    """
    found: dict[str, tuple[Message, ...]] = {}
    talks: dict[str, tuple[Message, ...]] = {}
    for item in differences:
        if item.thread not in talks:
            turns = journal.branches.current(item.thread, limit=LATEST)
            talks[item.thread] = tuple(_exchanges((turn.asked, turn.replied) for turn in turns))
        talk = talks[item.thread]
        if talk and journal.branches.contains(item.thread, item.turn):
            head = item.before[:1] if item.before and item.before[0].role == "system" else ()
            found[item.id] = (*head, *talk)
        else:
            found[item.id] = (*item.before, *_exchanges([(item.asked, item.replied)]))
    return found


def _exchanges(pairs: Iterable[tuple[str, str]]) -> list[Message]:
    return [
        message
        for asked, replied in pairs
        if asked.strip() and replied.strip()
        for message in (Message("user", asked), Message("assistant", replied))
    ]


class ContextBuilder:
    """Puts lessons and prompts into their contexts; all draws come from `training.seed`."""

    def __init__(
        self,
        ask: Asker,
        lessons: Sequence[Lesson],
        differences: Sequence[Difference],
        threads: Mapping[str, tuple[Message, ...]],
        exchanges: BaseExchanges,
        settings: Settings,
    ) -> None:
        """Take the lessons, all marks with their threads, and other exchanges before a question."""
        self._engine, self._ask, self._seed = ask.engine, ask, settings.training.seed
        self._recall = settings.recall
        self._marked = {item.id: item for item in differences}
        self._standing = [item for item in differences if item.scope in STANDING]
        self._threads = threads
        self._lessons = [x for x in lessons if x.kind != "naming" and not x.in_talk]
        self._talk, self._look_alikes = (
            [
                (anchor.asked, anchor.text)
                for anchor in anchors
                if anchor.text and anchor.reply and ask.engine.ends_turn(anchor.reply[-1])
            ]
            for anchors in (exchanges.small_talk, exchanges.look_alikes)
        )

    # --- lessons -----------------------------------------------------------------------------

    def with_contexts(self, lesson: Lesson) -> Lesson:
        """Return the lesson with its contexts: those of the gate, and those only for training."""
        if lesson.kind == "naming" or lesson.in_talk:
            return lesson
        order = random.Random(f"{self._seed}|{lesson.question.text}")
        text = lesson.question.text
        places = self._in_its_thread(lesson) + self._fitting(
            (text, self._row(lesson, order)),
            (text, _exchanges(self._similar(lesson, order, AMONG))),
        )
        wordings = [text, *(question.text for question in lesson.rephrasings)]
        contexts = [
            self._below(text, [lesson.difference], order),
            self._below(text, self._others(lesson, order, 1), order),
        ]
        if self._standing:
            contexts.append(self._below(text, [], order))
        again = min(ASKED_AGAIN, 2 * (len(self._lessons) - 1))
        for number in range(again):
            block = self._block(text, [lesson.difference] if number % 2 else [], order)
            contexts += self._fitting((text, self._some_talk(lesson, order)), block=block)
        for number, wording in enumerate(wordings[1:]):
            if number % EVERY == 0 and self._standing:
                contexts.append(self._below(wording, [], order))
            if number % EVERY == 1:
                block = self._block(wording, [], order)
                contexts += self._fitting((wording, self._some_talk(lesson, order)), block=block)
            if number % EVERY == 3:
                mine = [lesson.difference] if number % (2 * EVERY) == 3 else []
                contexts.append(
                    self._below(wording, [*mine, *self._others(lesson, order, 1)], order)
                )
        made = [question for question in contexts if question is not None]
        return replace(lesson, places=tuple(places), contexts=tuple(dict.fromkeys(made)))

    def _in_its_thread(self, lesson: Lesson) -> list[Question]:
        """Return the question asked again in the thread of its mark, as the chat would.

        If the thread is too long, the marked exchange stays and those after it are left out: the chat
        may still have it, and a small model repeats its own wrong reply.
        """
        text, thread = lesson.question.text, self._threads.get(lesson.difference, ())
        found = self._fitting((text, thread), reply=len(lesson.chosen))
        item = self._marked[lesson.difference]
        own = _exchanges([(item.asked, item.replied)])
        head = thread[:1] if thread and thread[0].role == "system" else ()
        latest = thread[len(head) :]
        if not found or not own or own[0] in latest[found[0].dropped :]:
            return found
        for start in range(2, len(latest) + 1, 2):
            kept = (*head, *own, *latest[start:])
            shorter = self._fitting((text, kept), reply=len(lesson.chosen))
            if shorter and not shorter[0].dropped:
                return shorter
        return found

    def _fitting(
        self,
        *asked: tuple[str, Sequence[Message]],
        block: str = "",
        reply: int | None = None,
    ) -> list[Question]:
        """Return the questions that have a conversation before them and fit the context size."""
        made = []
        for text, before in asked:
            try:
                question = self._ask(
                    text, before, block=block, longest=MAX_CONTEXT_TOKENS, reply=reply
                )
            except ModelError:
                continue
            if question.continues:
                made.append(question)
        return made

    def _row(self, lesson: Lesson, order: random.Random) -> list[Message]:
        """Return a new thread in which other marked questions get their expected replies."""
        others = [x for x in self._lessons if x.difference != lesson.difference]
        some = order.sample(others, min(AMONG, len(others)))
        return _exchanges((x.question.text, x.expected) for x in some)

    def _some_talk(self, lesson: Lesson, order: random.Random) -> list[Message]:
        """Return some exchanges: of other marks, of look-alikes, and of unrelated prompts.

        Marks have the old or the expected reply. Short conversations are cheaper and drawn more
        often; long ones occur in real use.
        """
        pool: list[tuple[str, str]] = []
        others = [x for x in self._lessons if x.difference != lesson.difference]
        for other in order.sample(others, min(2, len(others))):
            wrong = self._marked[other.difference].replied
            pool.append((other.question.text, order.choice((other.expected, wrong))))
        pool += self._similar(lesson, order, 2)
        order.shuffle(pool)
        size = order.choice(EXCHANGES)
        pool = pool[:size]
        pool += order.sample(self._talk, min(max(1, size - len(pool)), len(self._talk)))
        order.shuffle(pool)
        return _exchanges(pool[:size])

    def _similar(self, lesson: Lesson, order: random.Random, count: int) -> list[tuple[str, str]]:
        """Draw from the look-alikes that share the most words with the lesson's question.

        They have the base's answers.
        """
        own = set(stems(lesson.question.text))
        ranked = sorted(
            self._look_alikes, key=lambda pair: len(own.intersection(stems(pair[0]))), reverse=True
        )
        nearest = ranked[:NEAREST]
        return order.sample(nearest, min(count, len(nearest)))

    def _others(self, lesson: Lesson, order: random.Random, count: int) -> list[str]:
        others = [x.difference for x in self._lessons if x.difference != lesson.difference]
        return order.sample(others, min(count, len(others)))

    def _below(self, text: str, ids: Sequence[str], order: random.Random) -> Question | None:
        return self._under(text, self._block(text, ids, order))

    def _block(self, text: str, ids: Sequence[str], order: random.Random) -> str:
        """Return the block of these differences in random order, as for the message `text`."""
        items = [self._marked[name] for name in ids]
        order.shuffle(items)
        return self._block_of(text, items)

    def _block_of(self, text: str, items: Sequence[Difference]) -> str:
        """Return the block of `items` below that of the marks about every reply; "" if both are."""
        names = ",".join(item.id for item in items)
        nonce = hashlib.sha256(f"{self._seed}|{text}|{names}".encode()).digest()
        block, _ = render(
            [Recalled(item, 1.0, ()) for item in items],
            budget=min(BLOCK_TOKENS, self._engine.info.context // 2),
            count=self._count,
            nonce=nonce,
        )
        most = min(self._recall.token_budget, self._engine.info.context // 2)
        preferences, _ = render_standing(
            self._standing,
            budget=standing_budget(self._recall, most),
            count=self._count,
            nonce=nonce_of(nonce),
        )
        return "\n\n".join(filter(None, (preferences, block)))

    def _count(self, text: str) -> int:
        return len(self._engine.tokenize(text))

    def _under(self, text: str, block: str) -> Question | None:
        """Return `text` asked below `block`; None without a block or if it does not fit."""
        if not block:
            return None
        try:
            return self._ask(text, block=block)
        except ModelError:
            return None

    # --- what must stay the same -------------------------------------------------------------

    def held(self, anchors: Sequence[Anchor]) -> list[Asked]:
        """Return some of `anchors` in a conversation, and some below a block of one or two lessons.

        The draws for a prompt depend mainly on the prompt, so other prompts or a new mark seldom change
        them, and most of the base's answers can be reused in the next night.
        """
        made: list[Asked] = []
        for anchor in anchors:
            order = random.Random(f"{self._seed}|held|{anchor.asked}")
            kind = order.randrange(EVERY)
            if kind == 0 and self._standing:
                below = self._below(anchor.asked, [], order)
                if below is not None:
                    made.append(Asked(anchor.asked, below.prompt, None))
            elif kind == 1 or (kind == 2 and self._nearest(anchor.asked)):
                talk = self._talk_before(anchor.asked, order)
                for question in self._fitting((anchor.asked, talk)):
                    made.append(Asked(anchor.asked, question.prompt, anchor.text))
            elif kind == 3 and self._lessons:
                some = _drawn(
                    [x.difference for x in self._lessons],
                    order.choice((1, 1, 2)),
                    lambda name: f"{self._seed}|{anchor.asked}|{name}",  # noqa: B023  # used at once
                )
                below = self._below(anchor.asked, some, order)
                if below is not None:
                    made.append(Asked(anchor.asked, below.prompt, anchor.text))
        return made

    def _talk_before(self, text: str, order: random.Random) -> list[Message]:
        """Return some exchanges of unrelated prompts and at most two marks; see `_some_talk`.

        The mark that shares the most words with `text`, if any does, comes with its new reply, which a
        look-alike must not repeat.
        """
        marks = _drawn(self._lessons, 2, lambda x: f"{self._seed}|{text}|{x.question.text}")
        size = order.choice(EXCHANGES)
        pool = [
            (x.question.text, order.choice((x.expected, self._marked[x.difference].replied)))
            for x in marks
        ]
        if nearest := self._nearest(text):
            other = [pair for pair in pool if pair[0] != nearest.question.text]
            pool = [(nearest.question.text, nearest.expected), *other[:1]]
        pool = pool[:size]
        pool += _drawn(
            self._talk, max(1, size - len(pool)), lambda pair: f"{self._seed}|{text}|{pair[0]}"
        )
        order.shuffle(pool)
        return _exchanges(pool[:size])

    def _nearest(self, text: str) -> Lesson | None:
        """Return the lesson whose question shares the most words with `text`; None if none does."""
        own = set(stems(text))
        shared = [len(own.intersection(stems(x.question.text))) for x in self._lessons]
        most = max(shared, default=0)
        return self._lessons[shared.index(most)] if most else None

    def answered(self, anchors: Sequence[Anchor], count: int = ANSWERED) -> list[Asked]:
        """Return near misses below a block with a made-up answer, which the base repeats."""
        made: list[Asked] = []
        replies = [*(text for _, text in self._talk), *(x.expected for x in self._lessons)]
        for anchor in _drawn(anchors, count, lambda one: f"{self._seed}|answered|{one.asked}"):
            others = [text for text in replies if text and text != anchor.text]
            told = _drawn(others, 1, lambda text: f"{self._seed}|{anchor.asked}|{text}")  # noqa: B023
            if not told:
                continue
            item = _made_up(anchor.asked, told[0], self._moment)
            block = self._block_of(anchor.asked, [item])
            if (below := self._under(anchor.asked, block)) is not None:
                made.append(Asked(anchor.asked, below.prompt, told[0]))
        return made

    @property
    def _moment(self) -> datetime:
        return next(iter(self._marked.values())).at


def _drawn(items: Sequence[_Item], count: int, name: Callable[[_Item], str]) -> list[_Item]:
    """Draw up to `count` of `items` by a hash of `name`; one item more or less changes few draws.

    Source: rendezvous hashing, Thaler, Ravishankar, "A Name-Based Mapping Scheme for Rendezvous"
    (1996).
    """
    return sorted(items, key=lambda item: hashlib.sha256(name(item).encode()).digest())[:count]


def _made_up(asked: str, sounds: str, at: datetime) -> Difference:
    return Difference(
        id="0" * 16,
        turn="0" * 16,
        thread="",
        at=at,
        moment=Moment.ERROR,
        asked=asked,
        replied="",
        contrast=Contrast(sounds=sounds),
    )
