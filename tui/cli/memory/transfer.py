"""`discern memory export, import, batches, confirm, reject`: move marks between machines.

Imported marks are quarantined: neither recalled nor trained on until the user confirms them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memory.text.counts import counted
from tui.cli.shared_options import as_json, open_home, print_json, step_bar, working
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from memory.transfer.import_export import ImportBatch


@click.command(
    "export",
    epilog="""\b
Examples:
  discern memory export marks.jsonl
  discern memory export - | gzip > marks.jsonl.gz
""",
)
@click.argument("path", metavar="FILE|-", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@as_json
def export(path: Path, force: bool, as_json: bool) -> None:
    """Write all marks to FILE as JSON Lines.

    Only the current version of each mark is exported; `discern memory backup` includes the older
    ones.
    """
    import sys

    from memory.errors import ExchangeError
    from memory.memory import Memory
    from memory.transfer.import_export import export_file, export_memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        if str(path) == "-":
            export_memory(memory, sys.stdout.write)
            return
        if path.exists() and not force:
            raise ExchangeError(
                "{path} already exists; use --force to overwrite it, or choose another file",
                path=path,
            )
        with working("writing"):
            count = export_file(memory, path)
    if as_json:
        print_json({"path": path, "differences": count})
    else:
        echo(f"Wrote {counted(count, 'mark')} to {path}.")


@click.command(
    "import",
    epilog="""\b
Examples:
  discern memory import marks.jsonl      shows what would be imported
  discern memory confirm 1               imports it
""",
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@as_json
def import_batch(path: Path, as_json: bool) -> None:
    """Import marks from FILE into quarantine.

    They are not recalled or trained on until `discern memory confirm`.
    """
    from memory.memory import Memory
    from memory.transfer.import_export import read_batch

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        batch = read_batch(memory, path, progress=step_bar("reading"))
    if as_json:
        print_json(batch)
        return
    if not batch.id:
        echo(f"Nothing new: {counted(batch.duplicates, 'mark')} already known.")
        return
    _show(batch)
    if batch.announced is not None and batch.announced > batch.count + batch.duplicates:
        echo(f"The header says {counted(batch.announced, 'mark')}; some may be missing.")
    echo(
        f"Not imported yet. `discern memory confirm {batch.id}` imports them, `discern "
        f"memory reject {batch.id}` discards them."
    )


@click.command(epilog="\b\nExamples:\n  discern memory batches")
@as_json
def batches(as_json: bool) -> None:
    """List imports that are waiting for confirmation."""
    from memory.memory import Memory
    from memory.transfer.import_export import batches as waiting

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        found = waiting(memory)
    if as_json:
        print_json(found)
        return
    for batch in found:
        _show(batch)
    if not found:
        echo("No pending imports. `discern memory import FILE` imports marks.")


def _show(batch: ImportBatch) -> None:
    from tui.terminal.sanitize import one_line

    twice = f" ({batch.duplicates} more already known)" if batch.duplicates else ""
    echo(
        f"Batch {batch.id}: {counted(batch.count, 'mark')}{twice}, from "
        f"{one_line(str(batch.source), 60)}, {batch.at.astimezone():%Y-%m-%d %H:%M}"
    )
    for item in batch.items:
        echo(f"  {one_line(preview(item), 90)}")
    if more := batch.count - len(batch.items):
        echo(f"  … and {more:,} more")


def preview(item: Any) -> str:
    """Return a quarantined difference as one line."""
    return f"{item.moment:8} {item.asked} => {item.wanted or '(no better answer)'}"


def _decide(identity: str, accept: bool, as_json: bool) -> None:
    from memory.memory import Memory
    from memory.transfer.import_export import confirm as take
    from memory.transfer.import_export import reject as drop

    home, settings = open_home()
    doing = working("importing" if accept else "discarding")
    with Memory.open(home, settings, dense=False) as memory, doing:
        count = (take if accept else drop)(memory, identity)
    if as_json:
        print_json({"batch": identity, "imported" if accept else "rejected": count})
        return
    if accept:
        echo(f"Imported {counted(count, 'mark')}: recalled from now on, trained in the next run.")
    else:
        echo(f"Discarded {counted(count, 'mark')}.")


@click.command(epilog="\b\nExamples:\n  discern memory confirm 1")
@click.argument("batch", metavar="BATCH")
@as_json
def confirm(batch: str, as_json: bool) -> None:
    """Confirm an imported batch."""
    _decide(batch, True, as_json)


@click.command(epilog="\b\nExamples:\n  discern memory reject 1")
@click.argument("batch", metavar="BATCH")
@as_json
def reject(batch: str, as_json: bool) -> None:
    """Discard an imported batch."""
    _decide(batch, False, as_json)


COMMANDS = (export, import_batch, batches, confirm, reject)
