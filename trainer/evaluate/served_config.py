"""What the chat recalls by default, for the evaluation of an adapter.

Recall is that of the chat (`agent/chat/recall_context.py`). Nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.chat.recall_context import Recaller
from agent.prompt.prompt import compose
from memory.difference import Difference, Message
from memory.errors import ModelError
from memory.recall.learned_differences import Learned, digest

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import Settings
    from trainer.lessons.lesson import Lesson, Question


def learned_from(
    lessons: Sequence[Lesson],
    holds: Collection[str],
    differences: Sequence[Difference],
    superseded: Mapping[str, str],
    floor: float = 0.0,
) -> Learned:
    """Return what is not recalled with an adapter trained on `lessons` that holds the ids `holds`.

    `superseded` maps the ids of older differences to those that replaced them; `floor` is that of the
    adapter's scope.
    """
    replaced = {older for older, newer in superseded.items() if newer in holds}
    return Learned(
        {item.id: item.fingerprint for item in differences if item.id in holds},
        {item.id: item.fingerprint for item in differences if item.id in replaced},
        frozenset(digest(x.question.text) for x in lessons if x.difference in holds),
        floor,
    )


@dataclass(frozen=True, slots=True)
class ServedRecall:
    """What the chat would recall for a message, given the differences that an adapter holds."""

    recaller: Recaller
    settings: Settings
    differences: Sequence[Difference] = ()
    superseded: Mapping[str, str] = field(default_factory=dict)
    lessons: Sequence[Lesson] = ()
    floor: float = 0.0

    def block(self, question: Question, holds: Collection[str] = ()) -> str:
        """Return the block for `question`, "" for none; `holds` are ids that the adapter holds.

        The same message in another conversation gets a block with another nonce: a small model's reply
        depends on it.
        """
        learned = learned_from(self.lessons, holds, self.differences, self.superseded, self.floor)
        learned = learned.continued(question.continues)
        return self.recaller.recall(question.text, learned, question.prompt)[0]

    def served(self, question: Question, holds: Collection[str] = ()) -> str:
        """Return the block, "" if recall is disabled in the settings."""
        return self.block(question, holds) if self.settings.recall.enabled else ""


def below(
    engine: Engine, settings: Settings, question: Question, block: str, reply: int
) -> tuple[int, ...] | None:
    """Return the prompt of `question` below `block`, with room for `reply` tokens.

    None if the block is empty or does not fit; the chat leaves it out then, too.
    """
    if not block:
        return None
    head = [Message("system", settings.chat.system)] if settings.chat.system.strip() else []
    if question.before and question.before[0].role == "system":
        head = []
    messages = [*head, *question.before[question.dropped :], Message("user", question.text)]
    try:
        room = min(reply + 16, engine.info.context // 2)
        return compose(engine, messages, block=block, room=room).tokens
    except ModelError:
        return None
