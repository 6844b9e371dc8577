"""Random keys, clicks and pastes in quick succession, in every screen.

`python -m tests.tui.chat.monkey SEED SECONDS` plays one game in its own home and prints what broke and
what was pressed before it. The same seed starts the same game; how far it gets depends on the machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

import click
from textual import events
from textual.geometry import Size

from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.tui.recorded import judged, marked, recorded
from tests.tui.seat import Seat, Watched, sitting
from tui.commands.registry import COMMANDS
from tui.keys.registry import KEYS

Moves = list[tuple[type[events.MouseEvent], int, int]]
SETTINGS: dict[str, dict[str, Any]] = {
    "memory": {"dense": False},
    "night": {"enabled": False},
    "sampling": {"max_tokens": 24},
}
LEAVES = {"ctrl+q", "ctrl+c", "ctrl+g"}
"""Keys that end the game, and the one that opens an editor."""
NEVER = {"quit", "train", "theme"}
PRESSED = sorted(
    {key for row in KEYS for key in row.keys} - LEAVES
    | {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "shift+tab", "delete",
       "backspace", "ctrl+a", "ctrl+w", "ctrl+z", "space", *"123456789esh/xyя"}
)  # fmt: skip
OF_A_REPLY = [row.keys[0] for row in KEYS if row.where == "reply"]
SAID = (
    "What is the capital of France?", "Who are you?", "/diff", "/diff error => Paris.", "/diff hold",
    "/diff surprise naming a note => So.", "/context hi", "/compare", "/compare hi", "/why",
    "/contrast", "/memory", "/sessions", "/report", "/training", "/help", "/retry", "/edit", "/undo",
    "/new", "/thread other", "/recall off", "/recall on", "hi\nthere",
)  # fmt: skip
SIZES = ((80, 24), (120, 36), (40, 12), (20, 6), (200, 50))


TALK = """<think>
The person wants *everything*.
</think>
# A heading

A [link](https://example.org), **bold** and `code`, and a line long enough to be broken somewhere.

| left | right |
|:-----|------:|
| 漢字  | 1     |
| e\u0301 | 22    |

1. first
   - inner
     > quoted
2. second

```python
def answer(question: str) -> str:
    return question * 40 + "a line of code longer than most terminals are wide, as such lines are"
```
"""


def furnish(home: Home) -> Home:
    """Write turns in branches, marks, a training and reports, so that there is content to act on."""
    marked(home)
    recorded(home)
    judged(home, "20260311T031500")
    judged(home, "20260310T031500", verdict="rejected", sentence="It drifted.")
    with Journal(home.journal) as journal:
        for number in range(12):
            journal.turns.add(
                Turn(new_id(), "talk", now(), f"{number}: go on\nplease", TALK, "m", None)
            )
        first = journal.branches.current("talk", limit=100)[0]
        journal.turns.add(replace(first, id=new_id(), asked="otherwise"))
    return home


@dataclass(slots=True)
class Monkey:
    """The game of one seed: number of presses, screens seen, and failures with the keys before them."""

    seed: int
    pressed: int = 0
    faults: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=30))

    async def play(self, seat: Seat, until: float) -> None:
        """Press until this time, or until the chat quits."""
        chance = random.Random(self.seed + self.pressed)
        while time.monotonic() < until and seat.app.is_running:
            for _ in range(chance.choice((1, 1, 2, 5, 12))):
                self._do(seat, chance)
            await asyncio.sleep(chance.choice((0, 0, 0, 0.01, 0.05, 0.3)))
            self._look(seat)

    def _look(self, seat: Seat) -> None:
        assert isinstance(seat.app, Watched)
        if seat.app.screen_stack:
            self.seen[type(seat.app.screen).__name__] += 1
            self.seen.update({type(child).__name__ for child in seat.app.screen.walk_children()})
        for error in seat.app.unforeseen:
            self.faults.append("".join(traceback.format_exception(error)) + "  ".join(self.last))
        seat.app.unforeseen.clear()

    def _do(self, seat: Seat, chance: random.Random) -> None:
        self.pressed += 1
        move = chance.random()
        if move < 0.55:
            self._press(seat, chance.choice(PRESSED))
        elif move < 0.65:
            self._press(seat, chance.choice(("enter", "escape")))
        elif move < 0.7:  # the actions of a selected reply are rarely reached otherwise
            self._press(seat, "alt+up")
            self._press(seat, chance.choice(OF_A_REPLY))
        elif move < 0.85:
            name = chance.choice(COMMANDS).name
            said = chance.choice(SAID) if name in NEVER or chance.random() < 0.7 else f"/{name}"
            self.last.append(repr(said))
            seat.app.post_message(events.Paste(said))
            if chance.random() < 0.8:
                self._press(seat, "enter")
        elif move < 0.97:
            self._mouse(seat, chance)
        else:
            size = Size(*chance.choice(SIZES))
            self.last.append(f"resize {size.width}x{size.height}")
            seat.app.post_message(events.Resize(size, size))

    def _mouse(self, seat: Seat, chance: random.Random) -> None:
        """Scroll, click, or drag between two places."""
        width, height = (max(1, side) for side in seat.app.size)
        x, y = chance.randrange(width), chance.randrange(height)
        if chance.random() < 0.2:
            wheel = chance.choice((events.MouseScrollUp, events.MouseScrollDown))
            moves: Moves = [(wheel, x, y)]
        else:
            end = (
                (x, y) if chance.random() < 0.6 else chance.choices(range(min(width, height)), k=2)
            )
            moves = [(events.MouseMove, x, y), (events.MouseDown, x, y), (events.MouseMove, *end),
                     (events.MouseUp, *end)]  # fmt: skip
        self.last.append(f"mouse {moves[0][0].__name__} {x},{y} to {moves[-1][1]},{moves[-1][2]}")
        for kind, column, row in moves:
            event = kind(None, column, row, 0, 0, 1, False, False, False, column, row)
            seat.app.post_message(event)

    def _press(self, seat: Seat, key: str) -> None:
        self.last.append(key)
        seat.app.post_message(events.Key(key, key if len(key) == 1 else None))


async def game(home: Home, seed: int, seconds: float) -> Monkey:
    """Play, reopening the chat if the keys quit it; at the end, the chat must still answer."""
    monkey = Monkey(seed)
    begun: dict[str, Any] = {"setup": True} if seed % 4 == 0 else {"thread": "talk"}
    spoken = {**SETTINGS, "ui": {"language": ("en", "ru")[seed % 2]}}
    settings, until = read_settings(furnish(home), spoken), time.monotonic() + seconds
    left = True
    while left:
        size = SIZES[seed % 3]
        async with sitting(home, settings, ready=False, size=size, **begun) as seat:
            await monkey.play(seat, until)
            # The last keys may also quit the chat.
            await seat.until(lambda: seat.app.return_code == 0 or seat.all_heard, patience=120)
            left = seat.app.return_code == 0
            if not left:
                try:
                    await _comes_to_rest(seat)
                except AssertionError:
                    waiting = [f"{worker.name} {worker.state.name}" for worker in seat.app.workers]
                    monkey.faults.append(
                        f"{traceback.format_exc()}\n{seat.shown}\n{waiting}\n"
                        + "  ".join(monkey.last)
                    )
            monkey._look(seat)
    return monkey


async def _comes_to_rest(seat: Seat) -> None:
    for _ in range(8):
        await seat.hits("escape")
        await asyncio.sleep(0.1)
    await seat.until(lambda: len(seat.app.screen_stack) == 2, patience=60)
    await seat.ready()
    await seat.until(lambda: not seat.screen.conversation.pending, patience=60)
    seat.screen.composer.focus()
    await seat.types("/thread last")
    await seat.until(lambda: seat.screen.chat.thread.name == "last", patience=30)
    await seat.until(lambda: not seat.screen.transcript.turns, patience=30)
    await seat.asks("Who are you?")


def main() -> None:
    """Play one game."""
    seed, seconds = int(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="discern-monkey-") as folder:
        os.environ.update(DISCERN_HOME=folder, LANGUAGE="en")
        os.chdir(folder)  # where sessions are exported to
        monkey = asyncio.run(game(Home.locate().prepare(), seed, seconds))
    for fault in monkey.faults:
        click.echo(f"{fault}\n")
    click.echo("  ".join(f"{name} {count}" for name, count in monkey.seen.most_common()))
    click.echo(f"seed {seed}: {monkey.pressed} presses, {len(monkey.faults)} faults")


if __name__ == "__main__":
    main()
