"""Decide whether a night and an open chat share the GPU, and make room if they cannot.

`plan` decides from three sizes. If the GPU holds both, they share it. If it holds a night but not the
chat as well, the night uses it while the user is not typing. If not even a night fits, the training
runs on the CPU and leaves the GPU to the chat. The free memory is asked of the driver, because starting
torch would itself use a few hundred megabytes of it.

`make_room` frees it: an event announces that the night needs the GPU, and open chats unload their
models while the user is not typing (`tui/chat/training/idle_unload.py`).
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.llama.gguf.header import read_header
from agent.llama.model_leases import leased_sizes
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.events import PlacementChosen

if TYPE_CHECKING:
    from trainer.night.run import Run

Way = Literal["beside", "instead", "processor"]
_SPARE = 512 << 20
"""Bytes left free for the desktop and the driver."""
_ACTIVATIONS = 1500 << 20


@dataclass(frozen=True, slots=True)
class Placement:
    """How a night uses the GPU (together with the chat, instead of it, or not at all), and why."""

    way: Way
    sentence: Sentence


MAX_TYPING_WAIT_SECONDS = 300.0
"""Seconds that a night waits for the user of a chat to stop typing."""


def make_room(home: Home, settings: Settings, base: Path, run: Run) -> Settings:
    """Have open chats free the GPU if a night needs all of it.

    Return the settings to continue with: they train on the CPU if there is no room.

    Raises:
        TrainingError: the run was cancelled meanwhile.
    """
    placement = _placement(home, settings, base)
    if placement.way == "instead":
        run.emit(PlacementChosen(placement.way, placement.sentence))
        until = time.monotonic() + MAX_TYPING_WAIT_SECONDS
        while leased_sizes(home):
            if time.monotonic() > until:
                placement = Placement(
                    "processor",
                    Sentence("the chat is still in use, so the training runs on the CPU"),
                )
                break
            run.cancel.wait(0.1)
            run.check()
    if placement.way == "processor":
        run.emit(PlacementChosen(placement.way, placement.sentence))
        trainer = settings.trainer.model_copy(update={"card": "processor"})
        model = settings.model.model_copy(update={"gpu_layers": 0})
        return settings.model_copy(update={"trainer": trainer, "model": model})
    return settings


def _placement(home: Home, settings: Settings, base: Path) -> Placement:
    chosen = settings.trainer.card
    if chosen != "auto":
        return Placement(chosen, Sentence('trainer.card is "{chosen}"', chosen=chosen))
    free = free_bytes() if settings.trainer.launcher == "local" else None
    if free is None:
        return Placement("beside", Sentence("there is no GPU to share"))
    needed = night_bytes(read_header(base).parameters, base.stat().st_size)
    return plan(free=free, chat=sum(leased_sizes(home)), night=needed)


def plan(*, free: int, chat: int, night: int) -> Placement:
    """Return how a night that needs `night` bytes shares the GPU with an open chat.

    The chat holds `chat` bytes of the GPU, of which `free` bytes are free.
    """
    if free - _SPARE >= night:
        return Placement("beside", Sentence("the chat and the training both fit on the GPU"))
    if free + chat - _SPARE >= night:
        return Placement(
            "instead",
            Sentence(
                "besides the chat, the GPU has {free} free, but the training needs {night}, so "
                "the chat model is unloaded from the GPU while the chat is idle",
                free=_size(free),
                night=_size(night),
            ),
        )
    return Placement(
        "processor",
        Sentence(
            "the GPU has {free} free, but the training needs {night}, so it runs on the CPU",
            free=_size(free + chat),
            night=_size(night),
        ),
    )


def night_bytes(parameters: int, file: int) -> int:
    """Return how many bytes of GPU memory a night takes.

    These are the weights in 16 bits and the activations, and the model file again for composing and
    testing.
    """
    return 2 * parameters + _ACTIVATIONS + file


def free_bytes() -> int | None:
    """Return the free bytes of the first GPU according to the driver; None without a GPU."""
    call = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=10, check=False)
        return int(done.stdout.splitlines()[0]) << 20 if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None


def _size(count: int) -> Sentence:
    return Sentence("{count:.1f} GiB", count=count / (1 << 30))
