"""Find where a forgotten difference may remain: adapters, exports, backups.

Forgetting erases it everywhere Discern reads from. Exports and backups belong to the user, and text
cannot be removed from trained weights. Those are listed, with what to do about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters import list_adapters, read_pointer
from agent.forget.scrub_run_files import linked, unfinished
from memory.difference import Difference
from memory.errors import AdapterError
from memory.i18n.interface_language import tr, trn
from memory.journal.journal import Journal
from memory.journal.migrations import copies
from memory.journal.tables import exported_copies
from memory.settings.paths import Home
from memory.upkeep.backup import asides


@dataclass(frozen=True, slots=True)
class ResidualCopies:
    """What remains of a difference: adapters trained on it, files, replies that had it in context.

    Adapters are given by id, with the current one among them; replies are counted per thread. Also
    whether a training is running.
    """

    adapters: tuple[str, ...]
    serving: str | None
    files: tuple[Path, ...]
    training: bool = False
    replies: tuple[tuple[str, int], ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What remains and what to do about it, a sentence each."""
        said: list[str] = []
        if self.adapters:
            named = ", ".join(name[:8] for name in self.adapters)
            count = len(self.adapters)
            if self.serving:
                said.append(
                    trn(
                        "{n} adapter was trained on it, the current one: {named}. `discern train` "
                        "trains one without it.",
                        "{n} adapters were trained on it, including the current one: {named}. "
                        "`discern train` trains one without it.",
                        count,
                        named=named,
                    )
                )
            else:
                said.append(
                    trn(
                        "{n} adapter was trained on it: {named}. `discern train` trains one "
                        "without it.",
                        "{n} adapters were trained on it: {named}. `discern train` trains one "
                        "without it.",
                        count,
                        named=named,
                    )
                )
        if self.replies:
            said.append(
                trn(
                    "{n} other reply had it in context and may repeat its words, in {named}.",
                    "{n} other replies had it in context and may repeat its words, in {named}.",
                    sum(count for _thread, count in self.replies),
                    named=", ".join(thread for thread, _count in self.replies),
                )
            )
        if self.files:
            named = ", ".join(str(path) for path in self.files)
            said.append(
                tr("Copies may remain in {files}: delete what you do not need.", files=named)
            )
        if self.training:
            said.append(cleared_by_training())
        return tuple(said)


def cleared_by_training() -> str:
    """Return the sentence about text that was removed while a training is running."""
    return tr(
        "Training is running: it will not publish what you removed, and it deletes its own copies "
        "when it ends."
    )


def find_residual_copies(home: Home, journal: Journal, difference: Difference) -> ResidualCopies:
    """Return where a difference, even one that was just forgotten, may remain."""
    adapters = tuple(
        item.id for item in list_adapters(home.adapters) if difference.id in item.manifest.trained
    )
    try:
        current = read_pointer(home.adapters).current
    except AdapterError:
        current = None
    return ResidualCopies(
        adapters,
        current if current in adapters else None,
        files_since(home, journal, difference.at),
        bool(unfinished(home)),
        tuple(journal.turns.uses_of(difference.id)),
    )


def files_since(home: Home, journal: Journal, moment: datetime) -> tuple[Path, ...]:
    """Return the files that may hold text from `moment` that was deleted since.

    A running training clears its own files (`trainer/lessons/journal_snapshot.py`).
    """
    files = [path for path, at in journal.exported_copies.noted() if at >= moment and path.exists()]
    files += [*copies(home.journal), *asides(home.journal), *linked(home)]
    files += exported_copies.unfinished(home, journal.exported_copies)
    return tuple(dict.fromkeys(files))


def sweep(home: Home, journal: Journal) -> None:
    """Remove unfinished files of killed processes, in the home and next to exported copies."""
    exported_copies.sweep_home(home)
    journal.exported_copies.sweep()
