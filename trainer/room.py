"""Whether a night and an open chat fit on one graphics card, and what gives way when they do not.

`plan` decides from three sizes alone. A card that holds both is shared; one that holds a night but not
the chat beside it is the night's while nobody types; and where not even a night fits, the training runs
on the processor and leaves the card to the chat. What is free is asked of the driver, not of torch,
whose start-up alone takes a few hundred megabytes of the card.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Literal

Way = Literal["beside", "instead", "processor"]
_SPARE = 512 << 20
"""Bytes left alone: what a desktop and the driver take in the meantime."""
_ACTIVATIONS = 1500 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """How a night uses the card: beside the chat, instead of it, or not at all; and why."""

    way: Way
    sentence: str


def plan(*, free: int, chat: int, night: int) -> Room:
    """Return how a night that takes `night` bytes runs while an open chat holds `chat` of the card, of
    which `free` bytes are free."""
    if free - _SPARE >= night:
        return Room("beside", "the card holds the chat and the training")
    if free + chat - _SPARE >= night:
        return Room(
            "instead",
            f"the card has {_size(free)} free beside the chat and the training takes {_size(night)}, "
            "so the chat's model leaves it while nobody types",
        )
    return Room(
        "processor",
        f"the card has {_size(free + chat)} for a training that takes {_size(night)}, so the training "
        "runs on the processor",
    )


def night_bytes(parameters: int, file: int) -> int:
    """Return what a night takes of a card: the weights in 16 bits and what is computed with them, and
    the model file once more for composing and testing."""
    return 2 * parameters + _ACTIVATIONS + file


def free_bytes() -> int | None:
    """Return the free bytes of the first card, as the driver says; None without one."""
    call = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=10, check=False)
        return int(done.stdout.splitlines()[0]) << 20 if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
