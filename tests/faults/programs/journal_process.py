"""Write to a journal until killed; started by `test_journal_kills`.

It imports once and forks a worker for each line of its input, so that a kill costs milliseconds. A
worker prints each change once it is acknowledged.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from memory.difference import Turn, new_id, now
from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from memory.text.stemming import stems
from tests.faults.programs.workers import fork_for_each_line, say


def expected(number: int) -> str:
    """The expected reply of mark `number`: some are longer than a page of the file."""
    return (f"Lutz {number}. " * (1 + number * 37 % 900)).strip()


def work(
    home: Home, settings: Settings, *, seed: int, first: int, most: int, removing: bool = True
) -> None:
    """Mark, edit, supersede and, if `removing`, take back and forget; each change is acknowledged."""
    draw = random.Random(seed)
    mine: list[str] = []
    with Memory.open(home, settings, dense=False) as memory:
        for number in range(first, first + most):
            turn = Turn(new_id(), "main", now(), f"What is {number}?", "I don't know.", "tiny@0")
            memory.journal.turns.add(turn)
            item = memory.mark(turn, MarkRequest("error", sounds=expected(number)))
            say(marked=item.id, number=number)
            mine.append(item.id)
            todo = draw.random()
            if todo < 0.2:
                item = memory.edit(draw.choice(mine), note=f"seen {number}")
                say(edited=item.id, version=item.version)
            elif todo < 0.3 and len(mine) > 1:
                old, new = draw.sample(mine, 2)
                try:
                    memory.supersede(old, new)
                    say(superseded=old)
                except DiscernError:  # they would go in a circle
                    pass
            elif removing and todo < 0.45 and len(mine) > 1:
                gone = mine.pop(draw.randrange(len(mine)))
                say(removing=gone)
                (memory.undo if todo < 0.4 else memory.forget)(gone)
                say(removed=gone)


def read(home: Home, *, until: str) -> None:
    """Read everything again and again; each time it must be whole and hold all it held before."""
    seen: set[str] = set()
    with Journal(home.journal) as journal:
        while not Path(until).exists():
            found = journal.differences.all()
            assert seen <= {item.id for item in found}
            seen = {item.id for item in found}
            for item in found:
                assert item.contrast.sounds == expected(int(item.asked[8:-1]))
    say(seen=len(seen))


def opened(home: Home) -> None:
    """Open the journal, which migrates an old one."""
    with Journal(home.journal) as journal:
        say(opened=len(journal.differences.all()))


def main() -> None:
    home = Home.at(Path(sys.argv[1]))
    settings = read_settings(home)
    stems("Loads the stemmers before anything is timed; и русский тоже.")

    def do(order: dict[str, Any]) -> None:
        what = order.pop("do")
        if what == "work":
            work(home, settings, **order)
        elif what == "read":
            read(home, **order)
        else:
            opened(home)

    fork_for_each_line(do)


if __name__ == "__main__":
    main()
