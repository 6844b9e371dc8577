"""How the prompt of the next message fills the context: its text, and the tokens of each part.

The prompt is composed like a real one and counted with the model's tokenizer. Nothing is generated or
stored, and no difference counts as recalled.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.chat.chat import Chat
from agent.chat.history import history_up_to
from agent.chat.recall_context import Recaller
from agent.langchain.chat_model import reply_room
from agent.prompt.prompt import compose, content_tokens
from memory.difference import Message
from memory.errors import ModelError


@dataclass(frozen=True, slots=True)
class ContextUsage:
    """The prompt for the next message. All counts but the last three are in tokens.

    `template` counts the tokens between the parts, `room` those reserved for the reply, `size` the
    whole context. `dropped` early messages no longer fit. `text` is the prompt with control tokens
    spelled out. `left_out` are the ids of marks about every reply for which there is no room.
    """

    system: int
    talk: int
    recalled: int
    message: int
    template: int
    room: int
    size: int
    differences: int
    messages: int
    dropped: int
    text: str
    left_out: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All tokens of the prompt."""
        return self.system + self.talk + self.recalled + self.message + self.template


def measure_context(chat: Chat, draft: str = "") -> ContextUsage:
    """Return the context usage if `draft` were sent now. Call it between replies only.

    Raises:
        ModelError: the draft does not fit the context, or the model is unloaded.
    """
    engine, dependencies = chat.engine, chat.dependencies
    if engine.unloaded:
        raise ModelError(
            "the model is unloaded during training, so tokens cannot be counted; try again when "
            "it is loaded"
        )
    earlier = history_up_to(chat.journal, chat.thread.next_parent, engine)
    talk = earlier.messages
    block, items = dependencies.recall(draft, earlier=bool(talk))
    recaller = Recaller.for_engine(dependencies.memory, engine)
    left_out = recaller.standing_left_out() if dependencies.recalling else ()
    system = [Message("system", dependencies.system)] if dependencies.system else []
    room = reply_room(engine, dependencies.model.sampling)
    prompt = compose(
        engine,
        [*system, *talk, Message("user", draft)],
        block=block,
        thinking=dependencies.model.thinking,
        room=room,
    )

    def count(text: str) -> int:
        return len(content_tokens(engine, text.strip()))

    kept = talk[prompt.dropped :]
    parts = (
        count(dependencies.system),
        sum(count(message.content) for message in kept),
        count(block),
        count(draft),
    )
    return ContextUsage(
        *parts,
        template=len(prompt.tokens) - sum(parts),
        room=room,
        size=engine.info.context,
        differences=len(items),
        messages=len(kept),
        dropped=prompt.dropped + earlier.omitted,
        text=prompt.text,
        left_out=tuple(item.id for item in left_out),
    )
