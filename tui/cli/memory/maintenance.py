"""`discern memory backup, restore, rebuild, check`: maintain the memory."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memory.text.counts import counted
from tui.cli.shared_options import (
    as_json,
    open_home,
    print_json,
    step,
    step_bar,
    working,
    yes_option,
)
from tui.terminal.printing import confirm, echo


@click.command(
    epilog="""\b
Examples:
  discern memory backup                   next to the journal, named by date and time
  discern memory backup ~/marks.sqlite
"""
)
@click.argument("path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@as_json
def backup(path: Path | None, force: bool, as_json: bool) -> None:
    """Back up the journal while it is in use.

    The copy is verified.
    """
    from memory.difference import now
    from memory.memory import Memory
    from memory.upkeep.backup import backup as copy

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        if path is None:
            stamp = now().astimezone().strftime("%Y%m%d-%H%M%S")
            path = home.journal.with_name(f"journal-{stamp}.sqlite")
        with working("copying and verifying"):
            made = copy(memory.journal, path, force=force)
    if as_json:
        print_json({"path": made, "bytes": made.stat().st_size})
    else:
        echo(f"Copied to {made} ({made.stat().st_size / 1e6:.1f} MB).")


@click.command(epilog="\b\nExamples:\n  discern memory restore ~/marks.sqlite")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@yes_option
@as_json
def restore(path: Path, yes: bool, as_json: bool) -> int:
    """Restore the journal from a backup.

    The current journal is kept under another name.
    """
    from memory.settings.paths import expanded
    from memory.upkeep.backup import counts
    from memory.upkeep.backup import restore as put_back

    home, _settings = open_home()
    with working("verifying the backup"):
        turns, differences = counts(expanded(path))
    if not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        echo(f"{path} contains {_content(differences, turns)}.")
        if not confirm("Replace the journal with it?", default=False):
            echo("Nothing changed.")
            return 1
    with working("restoring"):
        done = put_back(home.prepare(), path)
    if as_json:
        print_json(done)
        return 0
    echo(f"Restored: {_content(done.differences, done.turns)}.")
    if done.aside is not None:
        echo(f"The previous journal is kept as {done.aside}.")
    return 0


def _content(differences: int, turns: int) -> str:
    return f"{counted(differences, 'difference')} and {counted(turns, 'turn')}"


@click.command(epilog="\b\nExamples:\n  discern memory rebuild")
@as_json
def rebuild(as_json: bool) -> None:
    """Rebuild the vector index from the journal."""
    from agent.models.served_model import embedder
    from memory.memory import Memory

    home, settings = open_home()
    with Memory.open(home, settings, embedder=embedder(settings)) as memory:
        count = memory.rebuild(step_bar("indexing"))
        step("")
    if as_json:
        print_json({"rebuilt": count})
    else:
        echo(f"Rebuilt the index: {counted(count, 'mark')}.")


@click.command(epilog="\b\nExamples:\n  discern memory check\n  discern memory check --json")
@as_json
def check(as_json: bool) -> int:
    """Check the memory for problems.

    Checks integrity, orphans, the index, the checkpoints and free space. Exits with code 1 if there
    is a problem.
    """
    from agent.chat.checkpoints import damaged_copy
    from agent.chat.checkpoints import look as look_at_checkpoints
    from agent.models.served_model import embedder
    from memory.memory import Memory
    from memory.upkeep.health import HealthFinding
    from memory.upkeep.health import check as look

    home, settings = open_home()
    bar = step_bar("indexing")
    with Memory.open(home, settings, embedder=embedder(settings), progress=bar) as memory:
        step("")
        with working("checking the journal"):
            found = look(home, memory.journal, memory.index)
            if wrong := look_at_checkpoints(home.checkpoints):
                problem, advice = wrong.problem_and_advice()
                found = (*found, HealthFinding("warning", str(problem), str(advice)))
            if (kept := damaged_copy(home.checkpoints)).exists():
                sentence = f"damaged checkpoints were moved to {kept}"
                found = (
                    *found,
                    HealthFinding("note", sentence, "delete that file if you do not need it"),
                )
        count = len(memory.journal.differences.all())
    whole = not any(finding.level == "error" for finding in found)
    if as_json:
        print_json({"whole": whole, "differences": count, "findings": found})
        return 0 if whole else 1
    signs = {"error": "✗", "warning": "!", "note": "·"}
    for finding in found:
        echo(f"{signs.get(finding.level, '·')} {finding.sentence}")
        if finding.mend:
            echo(f"  {finding.mend}")
    if whole:
        echo(f"✓ No problems found: {counted(count, 'mark')}.")
    return 0 if whole else 1


COMMANDS = (backup, restore, rebuild, check)
