"""`discern memory edit, contrast, pin, unpin, supersede, forget, undo`: change marks."""

from __future__ import annotations

import sys

import click

from tui.cli.completion_values import differences as ids
from tui.cli.completion_values import kinds as kinds_offered
from tui.cli.shared_options import (
    MomentName,
    as_json,
    condition_option,
    difference_argument,
    model_option,
    open_home,
    print_json,
    rule_option,
    scope_option,
    step,
    yes_option,
)
from tui.terminal.printing import confirm, echo


@click.command(
    epilog="""\b
Examples:
  discern memory edit 3fa9                              in $EDITOR
  discern memory edit 3fa9 --sounds "Lutz." --note ""   "" clears a field
"""
)
@difference_argument
@click.option("--moment", type=MomentName(), help="Why it is marked: error, surprise or hold.")
@click.option(
    "--kind",
    metavar="K",
    shell_complete=kinds_offered,
    help="The kind of difference (`discern memory kinds` lists them).",
)
@click.option("--note", metavar="T", help="A free note.")
@click.option("--missed", metavar="T", help="What it got wrong.")
@click.option("--lost", metavar="T", help="What it left out.")
@click.option("--sounds", metavar="T", help="The better answer.")
@scope_option
@condition_option
@rule_option
@as_json
def edit(identity: str, as_json: bool, **given: str | None) -> None:
    """Edit a mark.

    The previous version is kept. The edited mark is trained again.
    """
    from agent.chat.marking.receipt import engine_to_count, receipt
    from memory.memory import Memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.journal.differences.get(identity)
        changed = {name: text for name, text in given.items() if text is not None}
        if not changed:
            if not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise click.UsageError(
                    "nothing to change; pass an option such as --sounds, or run it in a "
                    "terminal to use the editor"
                )
            from tui.cli.memory.edit_form import edited

            changed = edited(item, home)
        if changed:
            item = memory.edit(item.id, **changed)
        with engine_to_count(item, settings) as engine:
            said = receipt(memory.journal, item, settings, typed=False, engine=engine)
    if as_json:
        print_json(item)
    else:
        echo(said if changed else "Nothing changed.")


@click.command(
    epilog="""\b
Examples:
  discern memory contrast 3fa9           show a draft
  discern memory contrast 3fa9 --keep    and save it
"""
)
@difference_argument
@click.option("--keep", is_flag=True, help="Save the draft.")
@model_option
@as_json
def contrast(identity: str, keep: bool, model: str | None, as_json: bool) -> int:
    """Let the model draft the contrast of a mark.

    The contrast has three lines: what it got wrong, what it left out, the better answer. The draft
    is saved only with `--keep`.
    """
    from agent.chat.chat import Chat
    from agent.chat.marking.receipt import receipt

    home, settings = open_home(model)
    with Chat.open(home, settings, dense=False, on_step=lambda doing: step(str(doing))) as chat:
        item = chat.journal.differences.get(identity)
        step("drafting")
        draft = chat.draft(item)
        step("")
        lines = {name: getattr(draft.contrast, name) for name in ("missed", "lost", "sounds")}
        if keep and draft.contrast:
            item = chat.memory.edit(item.id, **lines)
        said = receipt(chat.journal, item, settings, typed=False, engine=chat.engine)
    kept = keep and bool(draft.contrast)
    if as_json:
        print_json(
            {
                "id": item.id,
                **lines,
                "kept": kept,
                "said": str(draft.message) if draft.message else None,
            }
        )
    elif draft.contrast:
        from tui.cli.memory.list import print_facts

        print_facts({name: text or "" for name, text in lines.items()})
        echo(
            said
            if kept
            else f"Not saved. `discern memory edit {item.id[:8]}` saves your own words."
        )
    else:
        echo(f"{draft.message} Write them with `discern memory edit {item.id[:8]}`.")
    return 0 if draft.contrast else 1


def _pin(identity: str, on: bool, as_json: bool) -> None:
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.pin(identity, on)
    if as_json:
        print_json({"id": item.id, "pinned": item.pinned})
    else:
        said = "Pinned: it is recalled first where relevant" if item.pinned else "Unpinned"
        echo(f"{said}. {item.id[:8]}, {one_line(item.asked, 60)}")


@click.command(epilog="\b\nExamples:\n  discern memory pin 3fa9")
@difference_argument
@as_json
def pin(identity: str, as_json: bool) -> None:
    """Recall a mark before others where it is relevant."""
    _pin(identity, True, as_json)


@click.command(epilog="\b\nExamples:\n  discern memory unpin 3fa9")
@difference_argument
@as_json
def unpin(identity: str, as_json: bool) -> None:
    """Unpin a mark."""
    _pin(identity, False, as_json)


@click.command(epilog="\b\nExamples:\n  discern memory supersede 3fa9 b210     b210 replaces 3fa9")
@click.argument("old", metavar="OLD", shell_complete=ids)
@click.argument("new", metavar="NEW", shell_complete=ids)
@as_json
def supersede(old: str, new: str, as_json: bool) -> None:
    """Replace the mark OLD with NEW.

    The old one is no longer recalled or trained on.
    """
    from memory.memory import Memory

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.supersede(old, new)
    if as_json:
        print_json({"id": item.id, "superseded_by": item.superseded_by})
    else:
        echo(f"{(item.superseded_by or '')[:8]} now replaces {item.id[:8]}.")


@click.command(
    epilog="""\b
Examples:
  discern memory forget 3fa9           asks for confirmation
  discern memory forget 3fa9 --yes
"""
)
@difference_argument
@yes_option
@as_json
def forget(identity: str, yes: bool, as_json: bool) -> int:
    """Delete a mark and its turn everywhere.

    This cannot be undone.
    """
    from agent.chat.marking.forget import forget as forget_everywhere
    from agent.forget.residual_copies import find_residual_copies
    from memory.files.disk_reserve import with_reserve
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    with with_reserve(home.journal, lambda: Memory.open(home, settings, dense=False)) as memory:
        item = memory.journal.differences.get(identity)
        if not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
            echo(f"{item.id[:8]}: {one_line(item.asked, 68)}")
            question = "Permanently delete this mark and its turn?"
            if not confirm(question, default=False):
                echo("Nothing was deleted.")
                return 1
        item = forget_everywhere(home, memory, item.id)
        left = find_residual_copies(home, memory.journal, item)
    if as_json:
        print_json(
            {
                "forgotten": item.id,
                "adapters": left.adapters,
                "files": left.files,
                "replies": dict(left.replies),
            }
        )
        return 0
    echo(f"Deleted: {item.id[:8]}, {one_line(item.asked, 60)}")
    for sentence in left.sentences:
        echo(sentence)
    return 0


@click.command(epilog="\b\nExamples:\n  discern memory undo\n  discern memory undo 3fa9")
@click.argument("identity", metavar="[ID]", required=False, shell_complete=ids)
@as_json
def undo(identity: str | None, as_json: bool) -> None:
    """Undo a mark, by default the latest.

    The conversation is not changed.
    """
    from agent.chat.marking.target_reply import last_mark
    from memory.memory import Memory
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.undo(last_mark(memory.journal).id if identity is None else identity)
    if as_json:
        print_json({"undone": item.id})
    else:
        echo(f"Undone: {item.id[:8]}, {one_line(item.asked, 60)}")


COMMANDS = (edit, contrast, pin, unpin, supersede, forget, undo)
