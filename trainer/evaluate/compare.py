"""Compare the answers of two sides: the base or any adapter, each with recall or without.

By default the questions are those of the lessons and their held-out rephrasings. Replies are greedy, so
that differences are not random. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.adapters import BaseEntry, find_adapter, read_adapter, read_pointer, verify
from agent.llama.batch.greedy import GreedyReply, greedy_reply
from agent.prompt.prompt import compose
from memory.difference import Difference, Message
from memory.errors import AdapterError
from memory.recall.adapter_scope import Scope
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.settings.paths import Home

if TYPE_CHECKING:
    from agent.chat.recall_context import Recaller
    from agent.llama.batch.decoder import Task
    from agent.llama.engine import Engine
    from memory.journal.journal import Journal
    from memory.settings.settings import Settings

LONGEST = 256
ASKED = 40
"""Most questions asked by default."""
AT_ONCE = 8
"""Questions that are answered in one batch, before the first of their pairs is yielded."""
RECALL = "+recall"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: an adapter (None for the base alone), its scale, and recall or not.

    What the adapter has `learned` is not recalled. The base answers questions that are not related to
    the differences in `only`, nor one of those in `as_asked`, by a `Scope` of this `floor`, unless
    `only` is empty.
    """

    name: str
    adapter: Path | None = None
    scale: float = 1.0
    recall: bool = False
    learned: Learned = field(default=NOTHING_LEARNED, compare=False)
    only: tuple[str, ...] = field(default=(), compare=False)
    floor: float = field(default=0.0, compare=False)
    as_asked: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ComparedPrompt:
    """A question and the reply that a mark expects, "" if none does."""

    text: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the replies of both sides."""

    asked: ComparedPrompt
    first: str
    second: str


def side(home: Home, word: str, base: BaseEntry, *, recall: bool = False) -> Side:
    """Return the side that `word` names: base, current, or the beginning of an adapter's id.

    A side may end with "+recall"; `recall` enables it in any case.

    Raises:
        AdapterError: no such adapter, a damaged one, or one for another base.
    """
    name, recalled = word.removesuffix(RECALL), recall or word.endswith(RECALL)
    ending = RECALL if recalled else ""
    if name == "base":
        return Side(f"base{ending}", recall=recalled)
    if name == "current":
        identity = read_pointer(home.adapters).current
        if identity is None:
            raise AdapterError(
                "there is no current adapter to compare; train one with `discern train`, or "
                "choose one from `discern adapters list`"
            )
        adapter = read_adapter(home.adapters, identity)
    else:
        adapter = find_adapter(home.adapters, name)
    verify(adapter, base.sha256)
    manifest = adapter.manifest
    return Side(
        f"{adapter.id[:8]}{ending}",
        adapter.gguf,
        manifest.scale,
        recalled,
        manifest.learned,
        manifest.differences if manifest.scoped else (),
        manifest.floor,
        manifest.as_asked,
    )


def questions(
    engine: Engine, differences: Sequence[Difference], settings: Settings
) -> tuple[ComparedPrompt, ...]:
    """Return the questions of the lessons asked alone, then their held-out rephrasings."""
    from trainer.lessons.lessons import make_lessons

    lessons, _superseded, _left_out = make_lessons(engine, differences, settings)
    chosen = [lesson for lesson in lessons if lesson.kind != "naming" and not lesson.in_talk]
    first = [ComparedPrompt(lesson.question.text, lesson.expected) for lesson in chosen]
    second = [ComparedPrompt(lesson.held_out[0].text, lesson.expected) for lesson in chosen
              if lesson.held_out]  # fmt: skip
    return tuple(dict.fromkeys((*first, *second)))[:ASKED]


def compare(
    engine: Engine,
    journal: Journal,
    settings: Settings,
    sides: tuple[Side, Side],
    asked: Sequence[ComparedPrompt],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Generator[Pair]:
    """Yield the pairs in order; the engine has no adapter when this ends.

    Raises:
        AdapterError: llama.cpp refuses an adapter.
        ModelError: a question does not fit the context.
    """
    from agent.chat.recall_context import Recaller

    with Recaller.from_journal(journal, settings, engine) as recaller:
        yield from _pairs(engine, journal, settings, sides, asked, recaller, progress)


def _pairs(  # noqa: PLR0913 - those of `compare`
    engine: Engine,
    journal: Journal,
    settings: Settings,
    sides: tuple[Side, Side],
    asked: Sequence[ComparedPrompt],
    recaller: Recaller,
    progress: Callable[[int, int], None],
) -> Generator[Pair]:
    order = list(dict.fromkeys(sides))
    scopes = {
        who: Scope(
            journal.differences.questions(who.only),
            who.floor,
            journal.differences.questions(who.as_asked),
        )
        for who in order
        if who.only
    }
    done = 0
    try:
        for start in range(0, len(asked), AT_ONCE):
            some = asked[start : start + AT_ONCE]
            replies: dict[Side, dict[int, str]] = {}
            for who in order:
                replies[who] = {}
                blocks = [
                    recaller.recall(one.text, who.learned)[0] if who.recall else "" for one in some
                ]
                tasks = [
                    _task(engine, settings, one.text, block)
                    for one, block in zip(some, blocks, strict=True)
                ]
                related = [who not in scopes or scopes[who].includes(one.text) for one in some]
                for adapter, wanted in ((None, False), (who.adapter, True)):
                    numbers = [n for n, one in enumerate(related) if one == wanted]
                    if not numbers:
                        continue
                    engine.set_adapter(adapter, who.scale)
                    for place, made in engine.run_tasks([tasks[n] for n in numbers]):
                        replies[who][numbers[place]] = engine.text(made.tokens).strip()
                        done += 1
                        progress(done // len(order), len(asked))
            order.reverse()  # the side whose adapter is loaded goes first
            for number, one in enumerate(some):
                yield Pair(one, replies[sides[0]][number], replies[sides[1]][number])
    finally:
        engine.set_adapter(None)


def _task(engine: Engine, settings: Settings, text: str, block: str) -> Task[GreedyReply]:
    system = settings.chat.system
    head = [Message("system", system)] if system.strip() else []
    longest = min(LONGEST, engine.info.context // 2)
    # Without thinking, as in lessons and their evaluation.
    prompt = compose(engine, [*head, Message("user", text)], block=block, room=longest).tokens
    most = min(longest, engine.info.context - len(prompt))
    return greedy_reply(prompt, most, engine.ends_turn)
