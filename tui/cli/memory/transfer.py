"""`discern memory export, import, batches, confirm, reject`: carry differences out and in.

What comes in waits in quarantine until the person confirms it: till then it is neither recalled nor
trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.cli.shared_options import as_json, open_home, print_json, step_bar, working
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from memory.transfer.exchange import Batch


@click.command(
    "export",
    epilog="""\b
Examples:
  discern memory export marks.jsonl
  discern memory export - | gzip > marks.jsonl.gz
""",
)
@click.argument("path", metavar="FILE|-", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@as_json
def export(path: Path, force: bool, as_json: bool) -> None:
    """Write every difference to FILE as JSON Lines.

    The present version of each goes out; `discern memory backup` carries everything.
    """
    import sys

    from memory.errors import ExchangeError
    from memory.memory import Memory
    from memory.transfer.exchange import export_file, export_memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        if str(path) == "-":
            export_memory(memory, sys.stdout.write)
            return
        if path.exists() and not force:
            raise ExchangeError(
                "{path} is there already; --force overwrites it, or name another file", path=path
            )
        with working("writing"):
            count = export_file(memory, path)
    if as_json:
        print_json({"path": path, "differences": count})
    else:
        echo(f"{count} difference{'s' * (count != 1)} written to {path}.")


@click.command(
    "import",
    epilog="""\b
Examples:
  discern memory import marks.jsonl      shows what would come in
  discern memory confirm 1               lets it in
""",
)
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@as_json
def import_batch(path: Path, as_json: bool) -> None:
    """Read differences from FILE into quarantine.

    Nothing of it is recalled or trained on until `discern memory confirm`.
    """
    from memory.memory import Memory
    from memory.transfer.exchange import read_batch

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        batch = read_batch(memory, path, progress=step_bar("reading"))
    if as_json:
        print_json(batch)
        return
    if not batch.id:
        echo(f"Nothing new: all {batch.duplicates} of it are known already.")
        return
    _show(batch)
    if batch.announced is not None and batch.announced > batch.count + batch.duplicates:
        echo(f"The file says that it holds {batch.announced}: some of it may be missing.")
    echo(
        f"Nothing is in yet. `discern memory confirm {batch.id}` lets them in, "
        f"`discern memory reject {batch.id}` throws them away."
    )


@click.command(epilog="\b\nExamples:\n  discern memory batches")
@as_json
def batches(as_json: bool) -> None:
    """List what was imported and waits to be confirmed."""
    from memory.memory import Memory
    from memory.transfer.exchange import batches as waiting

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        found = waiting(memory)
    if as_json:
        print_json(found)
        return
    for batch in found:
        _show(batch)
    if not found:
        echo("Nothing waits. `discern memory import FILE` reads differences in.")


def _show(batch: Batch) -> None:
    from tui.terminal.sanitize import one_line

    twice = f" ({batch.duplicates} more are known already)" if batch.duplicates else ""
    echo(
        f"Batch {batch.id}: {batch.count} difference{'s' * (batch.count != 1)}{twice}, "
        f"from {one_line(str(batch.source), 60)}, {batch.at.astimezone():%Y-%m-%d %H:%M}"
    )
    for item in batch.items:
        echo(f"  {one_line(preview(item), 90)}")
    if more := batch.count - len(batch.items):
        echo(f"  … and {more:,} more")


def preview(item: Any) -> str:
    """Return a waiting difference on one line."""
    sounds = item.contrast.sounds or item.note or "(no contrast)"
    return f"{item.moment:8} {item.asked} => {sounds}"


def _settle(identity: str, let_in: bool, as_json: bool) -> None:
    from memory.memory import Memory
    from memory.transfer.exchange import confirm as take
    from memory.transfer.exchange import reject as drop

    home, settings = open_home()
    doing = working("letting them in" if let_in else "throwing them away")
    with Memory.open(home, settings, dense=False) as memory, doing:
        count = (take if let_in else drop)(memory, identity)
    if as_json:
        print_json({"batch": identity, "imported" if let_in else "rejected": count})
        return
    plural = f"difference{'s' * (count != 1)}"
    if let_in:
        echo(f"{count} {plural} came in: recalled from now on, trained with the next run.")
    else:
        echo(f"{count} {plural} thrown away.")


@click.command(epilog="\b\nExamples:\n  discern memory confirm 1")
@click.argument("batch", metavar="BATCH")
@as_json
def confirm(batch: str, as_json: bool) -> None:
    """Let an imported batch in."""
    _settle(batch, True, as_json)


@click.command(epilog="\b\nExamples:\n  discern memory reject 1")
@click.argument("batch", metavar="BATCH")
@as_json
def reject(batch: str, as_json: bool) -> None:
    """Throw an imported batch away."""
    _settle(batch, False, as_json)


COMMANDS = (export, import_batch, batches, confirm, reject)
