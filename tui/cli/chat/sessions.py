"""`discern sessions list, show, rename, delete, export`: manage past conversations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from memory.i18n.interface_language import tr, trn
from tui.cli.completion_values import threads
from tui.cli.shared_options import (
    as_json,
    open_home,
    print_json,
    yes_option,
)
from tui.terminal.printing import Safe, confirm, echo

if TYPE_CHECKING:
    from memory.transfer.session_file import SessionForm


named = click.argument("name", metavar="NAME", shell_complete=threads)


@click.group(
    epilog="""\b
Examples:
  discern sessions list
  discern sessions show trip | less
  discern sessions rename "2026-11-23 1" trip
  discern sessions export trip trip.md
"""
)
def sessions() -> None:
    """List, show, rename, delete and export conversations."""


@sessions.command(
    "list",
    epilog="""\b
Examples:
  discern sessions list
  discern sessions list --text "south sea" --json
""",
)
@click.option(
    "--text", metavar="T", help="Only threads that contain all these words, ignoring case."
)
@as_json
def list_sessions(text: str | None, as_json: bool) -> None:
    """List the threads, latest first."""
    from memory.journal.journal import Journal
    from tui.terminal.sanitize import one_line
    from tui.views.session_text import moment

    home, _settings = open_home()
    with Journal(home.prepare().journal) as journal:
        every = journal.threads.sessions()
        holding = None
        if text is not None:
            holding = {turn.thread for turn in journal.turns.search(text, limit=1 << 30)}
    found = [item for item in every if holding is None or item.name in holding]
    if as_json:
        print_json(found)
        return
    for item in found:
        marks = f"◆ {item.marks}" if item.marks else ""
        turns = trn("{n} turn", "{n} turns", item.turns)
        echo(
            f"{moment(item.at):<11} {turns:>10} {marks:<5} {one_line(item.name, 80)}  "
            f"{one_line(item.asked, 60)}"
        )
    if not every:
        echo(tr("No threads yet; the first message starts one."))
    elif not found:
        echo(tr("No message contains {words}.", words=repr(text)))


@sessions.command(
    epilog="""\b
Examples:
  discern sessions show trip
  discern sessions show trip --json
"""
)
@named
@as_json
def show(name: str, as_json: bool) -> None:
    """Show the selected branch of a thread.

    With --json, prints what `export --format json` writes (docs/sessions.md).
    """
    from memory.journal.journal import Journal
    from memory.transfer.session_file import to_json, to_markdown
    from tui.terminal.sanitize import clean

    home, _settings = open_home()
    with Journal(home.prepare().journal) as journal:
        told = journal.threads.transcript(name)
    echo(Safe(to_json(told)) if as_json else to_markdown(told, clean), nl=False)


@sessions.command(epilog='\b\nExamples:\n  discern sessions rename "2026-11-23 1" trip')
@click.argument("old", metavar="OLD", shell_complete=threads)
@click.argument("new", metavar="NEW")
@as_json
def rename(old: str, new: str, as_json: bool) -> None:
    """Rename a thread, with its marks and branches.

    Open chats follow.
    """
    from agent.chat.sessions import rename as rename_everywhere
    from memory.journal.journal import Journal
    from tui.terminal.sanitize import one_line

    home, _settings = open_home()
    with Journal(home.prepare().journal) as journal:
        name = rename_everywhere(home, journal, old, new)
    if as_json:
        print_json({"old": old, "name": name})
    else:
        echo(tr("Renamed {old} to {name}.", old=one_line(old, 80), name=one_line(name, 80)))


@sessions.command(
    epilog="""\b
Examples:
  discern sessions delete trip           asks for confirmation
  discern sessions delete trip --yes
"""
)
@named
@yes_option
@as_json
def delete(name: str, yes: bool, as_json: bool) -> int:
    """Delete a thread and all of its text.

    Marks made in the thread stay, each with its question and reply; `discern memory forget` removes
    them. This cannot be undone.
    """
    from agent.chat.sessions import delete as delete_everywhere
    from memory.files.disk_reserve import with_reserve
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line
    from tui.views.session_text import deletion_summary

    home, settings = open_home()
    with with_reserve(home.journal, lambda: Memory.open(home, settings, dense=False)) as memory:
        memory.journal.threads.require(name)
        item = next(one for one in memory.journal.threads.sessions() if one.name == name)
        if not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            echo(deletion_summary(one_line(item.name, 80), item.turns, item.marks))
            if not confirm(tr("Delete it?"), default=False):
                echo(tr("Nothing was deleted."))
                return 1
        gone = delete_everywhere(home, memory, name)
    if as_json:
        print_json(gone)
        return 0
    said = trn("Deleted: {name}, {n} turn.", "Deleted: {name}, {n} turns.", gone.turns, name=name)
    echo(said)
    if gone.marks:
        echo(trn("{n} mark stays in memory.", "{n} marks stay in memory.", gone.marks))
    if gone.files:
        files = ", ".join(str(path) for path in gone.files)
        echo(tr("Copies may remain in {files}: delete what you do not need.", files=files))
    if gone.training:
        from agent.forget.residual_copies import cleared_by_training

        echo(cleared_by_training())
    return 0


@sessions.command(
    epilog="""\b
Examples:
  discern sessions export trip                       to trip.md in this folder
  discern sessions export trip ~/trip.json           the extension sets the format
  discern sessions export trip - --format json | jq .turns[0]
"""
)
@named
@click.argument("path", metavar="[FILE|-]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "json"]),
    help="Markdown or JSON; by default the extension of FILE, or Markdown.",
)
@as_json
def export(name: str, path: Path | None, form: SessionForm | None, as_json: bool) -> None:
    """Write a thread to a Markdown or JSON file.

    Exports the selected branch with times, models and marks. Existing files are never overwritten.
    The JSON keys are described in docs/sessions.md.
    """
    from memory.journal.journal import Journal
    from memory.transfer.session_file import free_path, write_session, written_as
    from tui.terminal.sanitize import clean

    piped = path is not None and str(path) == "-"
    if piped and as_json and form == "md":
        raise click.UsageError("--json and --format md are mutually exclusive")
    form = form or ("json" if (piped and as_json) or (path and path.suffix == ".json") else "md")
    home, _settings = open_home()
    with Journal(home.prepare().journal) as journal:
        told = journal.threads.transcript(name)
        text = written_as(told, form, clean)
        if piped:
            echo(Safe(text) if form == "json" else text, nl=False)
            return
        path = write_session(journal, path or free_path(Path.cwd(), name, form), text)
    if as_json:
        print_json({"path": path, "turns": len(told.turns), "marks": len(told.marks)})
    else:
        echo(tr("Wrote {path}", path=path))
