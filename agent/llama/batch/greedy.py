"""Tasks of `Engine.run_tasks` that generate: each token is the most likely one.

Log-probabilities are read as the tokens are drawn, so a reply is not evaluated a second time for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.llama.batch.decoder import Evaluate, Steps, Task
from agent.llama.logits import FloatArray, Ids, most_likely

EndsTurn = Callable[[int], bool]


@dataclass(frozen=True, slots=True, eq=False)
class GreedyReply:
    """A reply and the most likely tokens at each of its positions.

    `tokens` are without the one that closed the turn; `ended` tells whether there was one. `ids` and
    `logs` have the shape [len(tokens) + ended, top].
    """

    tokens: tuple[int, ...]
    ended: bool
    ids: Ids
    logs: FloatArray


def greedy_reply(
    prompt: Sequence[int], most: int, ends_turn: EndsTurn, *, top: int = 1
) -> Task[GreedyReply]:
    """Return the task that replies to `prompt` with at most `most` tokens.

    `top` is the number of most likely tokens whose ln p is kept at each position.
    """
    return Task(_reply(prompt, most, ends_turn, top), len(prompt) + most)


def _reply(prompt: Sequence[int], most: int, ends_turn: EndsTurn, top: int) -> Steps[GreedyReply]:
    tokens: list[int] = []
    ids: list[Ids] = []
    logs: list[FloatArray] = []
    ended = False
    step = Evaluate(prompt, len(prompt) - 1, lambda _place, row: most_likely(row, top))
    for _ in range(most):
        ((best, values),) = yield step
        ids.append(best)
        logs.append(values)
        token = int(best[0])
        if ends_turn(token):
            ended = True
            break
        tokens.append(token)
        step = Evaluate((token,), 0, step.read)
    shape = (len(ids), -1 if ids else 0)
    return GreedyReply(
        tuple(tokens),
        ended,
        np.array(ids, np.int32).reshape(shape),
        np.array(logs, np.float32).reshape(shape),
    )


def best_token(_place: int, row: FloatArray) -> int:
    """Read the most likely token, for `Evaluate.read`."""
    return int(row.argmax())


def continued(
    first: int, keep: int, most: int, ends_turn: EndsTurn, stop: Callable[[int], bool]
) -> Steps[bool]:
    """Continue a sequence after its first `keep` tokens with `first` and what is most likely then.

    Each token is given to `stop`, which returns true to end the reply. Returns whether the turn was
    closed within `most` tokens, the closing one included.
    """
    token = first
    for drawn in range(1, most + 1):
        if ends_turn(token):
            return True
        if stop(token) or drawn == most:
            return False
        (token,) = yield Evaluate((token,), 0, best_token, keep if drawn == 1 else None)
    return False
