"""What an adapter is measured beside: the base alone, recall, and the adapter that serves today.

Recall is asked as the chat does it: `memory/recall.py` finds the differences by their words, and
`agent/prompt.py` places their block before the message. (The chat's index of vectors belongs to the
chat; a night reads the journal only.) An adapter that is no better than recall is worth knowing about:
it may serve, and the report says so. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.prompt import TOKENS_PER_DIFFERENCE, compose
from memory.difference import Difference, Message
from memory.embed import NgramEmbedder
from memory.errors import ModelError
from memory.recall import render, search
from trainer.gate import Spoken, listen
from trainer.measures import Wanted, answers, mean
from trainer.report import Beside

if TYPE_CHECKING:
    from agent.adapters import Adapter
    from agent.engine import Engine
    from memory.home import Settings
    from memory.journal import Journal
    from trainer.lessons import Lesson

ASKED = 120
"""Prompts with a recalled block that are asked at most: each is several times as long."""

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand before a night: `held` and `recalled` a flag a lesson, `rows` for the report.

    `held` are the lessons that the serving adapter reproduces (all False without one), `recalled` those
    that the base gets right with recall, None where it was not asked.
    """

    held: tuple[bool, ...]
    recalled: tuple[bool | None, ...]
    rows: tuple[Beside, ...]


def stand(
    engine: Engine,
    lessons: Sequence[Lesson],
    differences: Sequence[Difference],
    journal: Journal,
    settings: Settings,
    current: Adapter | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Standing:
    """Measure all three; the engine wears no adapter when this returns."""
    blocks = _with_recall(engine, lessons, differences, journal, settings)
    total = len(blocks) + sum(1 + len(x.held_out) for x in lessons) * (2 if current else 1)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    alone = listen(engine, lessons, step)
    rows = [_row("base", alone)]
    recalled: list[bool | None] = [None] * len(lessons)
    said = answers(engine, [wanted for _, _, wanted in blocks], step, shown=0)
    right: tuple[list[bool], list[bool]] = ([], [])
    for (number, variant, _), one in zip(blocks, said, strict=True):
        right[min(variant, 1)].append(one.right)
        if variant == 0:
            recalled[number] = one.right
    rows.append(Beside("recall", mean(right[0]), mean(right[1])))
    held = (False,) * len(lessons)
    if current is not None:
        try:
            engine.set_adapter(current.gguf, current.manifest.scale)
            spoken = listen(engine, lessons, step)
        finally:
            engine.set_adapter(None)
        held = spoken.reproduced
        rows.append(_row(f"adapter {current.id[:8]}", spoken))
    return Standing(held, tuple(recalled), tuple(rows))


def _row(name: str, spoken: Spoken) -> Beside:
    return Beside(name, spoken.lessons, spoken.rephrasings)


def _with_recall(
    engine: Engine,
    lessons: Sequence[Lesson],
    differences: Sequence[Difference],
    journal: Journal,
    settings: Settings,
) -> list[tuple[int, int, Wanted]]:
    """Return (lesson, wording, prompt with the recalled block) of as many wordings as are asked:
    first every lesson's question, then the rephrasings."""
    before = {item.id: item.before for item in differences}
    places = [(number, 0) for number in range(len(lessons))]
    places += [
        (number, variant)
        for variant in (1, 2)
        for number, lesson in enumerate(lessons)
        if len(lesson.held_out) >= variant
    ]
    block_of = recaller(engine, journal, settings)
    made: list[tuple[int, int, Wanted]] = []
    for number, variant in places[:ASKED]:
        lesson = lessons[number]
        text = (lesson.question, *lesson.held_out)[variant].text
        talk = before.get(lesson.difference, ()) if lesson.in_talk else ()
        head = [Message("system", settings.chat.system)] if settings.chat.system.strip() else []
        if talk and talk[0].role == "system":
            head = []
        try:
            prompt = compose(
                engine,
                [*head, *talk, Message("user", text)],
                block=block_of(text),
                room=min(len(lesson.chosen) + 16, engine.info.context // 2),
            )
        except ModelError:
            continue  # with the block it does not fit; the chat would leave it out too
        made.append((number, variant, Wanted(prompt.tokens, lesson.chosen, lesson.expected)))
    return made


def recaller(engine: Engine, journal: Journal, settings: Settings) -> Callable[[str], str]:
    """Return what the chat recalls for a message, as `agent/graph.py` limits it."""
    wanted, context = settings.recall, engine.info.context
    limit = min(wanted.limit, max(1, context // TOKENS_PER_DIFFERENCE))
    embedder = NgramEmbedder()

    def block(message: str) -> str:
        found = search(message, journal, None, embedder, limit=limit)
        above = [item for item in found if item.score >= wanted.floor]
        budget = min(wanted.token_budget, context // 2)
        return render(above, budget=budget, count=lambda text: len(engine.tokenize(text)))[0]

    return block


def no_better(rows: Sequence[Beside], spoken: Spoken) -> str:
    """Return a sentence when recall alone does as well as the adapter, else ""."""
    recall = next((row for row in rows if row.name == "recall"), None)
    if recall is None:
        return ""
    ours, theirs = spoken.lessons + spoken.rephrasings, recall.lessons + recall.rephrasings
    if ours > theirs or not theirs:
        return ""
    return (
        f"this adapter is no better than recall, which alone gets {recall.lessons:.0%} of the "
        f"lessons and {recall.rephrasings:.0%} of their rephrasings"
    )
