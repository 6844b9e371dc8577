"""What a journal does on a disk that is full or cannot be written; started by `test_journal_disk`.

Says each thing it saw as a line of JSON. `full HOME FILE` fills the disk of HOME, on which FILE is a
ballast that is taken away again; `open HOME` opens it and marks once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from memory.errors import DiscernError
from memory.home import Home, read_settings
from memory.journal import Journal
from memory.memory import Memory
from tests.memory.test_journal import make_turn


def say(**values: object) -> None:
    os.write(1, (json.dumps(values) + "\n").encode())


def fill(home: Home, ballast: Path) -> None:
    """Mark until it is refused; then make room and go on."""
    kept: list[str] = []
    with Memory.open(home, read_settings(home), dense=False) as memory:
        kept.append(memory.mark(make_turn(), "error", sounds="The first.").id)
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        try:
            while len(kept) < 1000:
                kept.append(memory.mark(make_turn(), "error", sounds="x" * 19_000).id)
        except DiscernError as error:
            say(refused=str(error), kept=len(kept))
        assert [item.id for item in memory.journal.differences()] == kept
        try:
            with Journal(home.journal) as other:
                say(opened=[item.id for item in other.differences()] == kept)
        except DiscernError as error:
            say(opened=str(error))
        os.truncate(ballast, 0)
        kept.append(memory.mark(make_turn(), "error", sounds="There is room again.").id)
        say(again=True)
    with Journal(home.journal) as journal:
        assert [item.id for item in journal.differences()] == kept
        say(whole=journal.check() is None)


def main() -> None:
    home = Home.at(Path(sys.argv[2]))
    try:
        if sys.argv[1] == "full":
            fill(home, Path(sys.argv[3]))
        else:
            with Memory.open(home, read_settings(home), dense=False) as memory:
                say(opened=len(memory.journal.differences()))
                say(marked=memory.mark(make_turn(), "error", sounds="Lutz.").id)
    except DiscernError as error:
        say(refused=str(error))


if __name__ == "__main__":
    main()
