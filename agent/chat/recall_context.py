"""What is recalled into the context of a message: the same for the chat, a night and a comparison.

A difference that the serving adapter holds is not put into the context again: the weights answer, and
a block that says the same besides only costs tokens (and can break what the weights say). Pinned
differences are recalled all the same, and so is what was edited since the adapter was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.prompt.prompt import TOKENS_PER_DIFFERENCE

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.memory import Memory
    from memory.recall.recall import Recalled


def recalled_for(
    memory: Memory,
    engine: Engine,
    text: str,
    held: Mapping[str, str],
    *,
    nonce: bytes = b"",
) -> tuple[str, tuple[Recalled, ...]]:
    """Return the block of what bears on the message `text`, and the differences in it.

    `held` is the serving adapter's `Manifest.holds`, empty for the base alone. `nonce` as in
    `memory.recall.recall.render`.
    """
    wanted, context = memory.settings, engine.info.context
    return memory.recall(
        text,
        count=lambda part: len(engine.tokenize(part)),
        budget=min(wanted.token_budget, context // 2),
        # A small window, and the small model behind it, is best served by the one that fits best.
        limit=min(wanted.limit, max(1, context // TOKENS_PER_DIFFERENCE)),
        held=held,
        nonce=nonce,
    )
