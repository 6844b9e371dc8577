"""`discern adapters`: list, switch, pin, disable and roll back adapters."""

from __future__ import annotations

import click

from memory.text.counts import counted
from tui.cli.completion_values import adapters as adapters_here
from tui.cli.shared_options import as_json, model_option, open_home, print_json, working
from tui.terminal.printing import echo


@click.group(
    epilog="""\b
Examples:
  discern adapters list
  discern adapters use 3f2a
  discern adapters rollback           go back to the previous adapter
  discern adapters off                use the base model alone until `on`
""",
)
def adapters() -> None:
    """List, switch, pin, disable and roll back adapters.

    Open chats follow within one turn.
    """


@adapters.command(
    "list",
    epilog="""\b
Examples:
  discern adapters list
  discern adapters list --json | jq -r '.[].id'
""",
)
@as_json
def list_all(as_json: bool) -> None:
    """List adapters, newest first."""
    from agent.adapters import list_adapters, read_pointer

    home, _settings = open_home()
    pointer = read_pointer(home.adapters)
    current = pointer.current
    found = list_adapters(home.adapters)
    if as_json:
        print_json(
            [
                {
                    "id": item.id,
                    "current": item.id == current,
                    "waiting": item.id == pointer.waiting,
                    "pinned": item.pinned,
                    "created": item.manifest.created,
                    "base": item.manifest.base.name,
                    "scale": item.manifest.scale,
                    "scoped": item.manifest.scoped,
                    "differences": item.manifest.differences,
                    "metrics": item.manifest.metrics,
                }
                for item in found
            ]
        )
        return
    for item in found:
        sign = "◆" if item.id == current else "◇" if item.id == pointer.waiting else " "
        echo(
            f"{sign} {item.id[:8]}  {item.manifest.created.astimezone():%Y-%m-%d %H:%M}  "
            f"{counted(len(item.manifest.differences), 'difference')}, "
            f"scale {item.manifest.scale:g}, "
            f"for {item.manifest.base.name}"
            f"{', only for related messages' if item.manifest.scoped else ''}"
            f"{', pinned' if item.pinned else ''}"
        )
    if not found:
        echo("No adapters yet. `discern train` trains one on your marks.")
    if pointer.off:
        waits = "; ◇ is waiting" if pointer.waiting else ""
        echo(f"Adapters are off{waits}. `discern adapters on` enables them again.")


@adapters.command(epilog="\b\nExamples:\n  discern adapters use 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@model_option
@as_json
def use(identity: str, model: str | None, as_json: bool) -> None:
    """Use the adapter whose id starts with ID.

    It must have been trained for the current model.
    """
    from agent.adapters import find_adapter, verify
    from agent.models.served_model import served_model
    from trainer.adapters.adapter_staleness import entry_of
    from trainer.adapters.publish import select

    home, settings = open_home(model)
    adapter = find_adapter(home.adapters, identity)
    with working("checking the model and the adapter"):
        verify(adapter, entry_of(served_model(settings), home.prepare()).sha256)
    select(home, adapter.id)
    _say(adapter.id, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters pin 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@as_json
def pin(identity: str, as_json: bool) -> None:
    """Pin an adapter, so that it is never removed to free space."""
    _pin(identity, True, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters unpin 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@as_json
def unpin(identity: str, as_json: bool) -> None:
    """Unpin an adapter."""
    _pin(identity, False, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters off")
@as_json
def off(as_json: bool) -> None:
    """Use the base model alone until `on` or `use`.

    Adapters stay on disk. Nights keep training; their adapters wait for `on`.
    """
    from trainer.adapters.publish import switch_off

    home, _settings = open_home()
    waiting = switch_off(home)
    if as_json:
        print_json({"current": None, "waiting": waiting})
        return
    _say(None, as_json)
    kept = f"{waiting[:8]} waits" if waiting else "new adapters wait"
    echo(f"This lasts until `discern adapters on`; until then, {kept}.")


@adapters.command(epilog="\b\nExamples:\n  discern adapters on")
@as_json
def on(as_json: bool) -> None:
    """Enable adapters again after `off`.

    Uses the adapter from before, or a newer one trained since.
    """
    from trainer.adapters.publish import switch_on

    home, _settings = open_home()
    _say(switch_on(home), as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters rollback")
@as_json
def rollback(as_json: bool) -> None:
    """Go back to the previous adapter, or to the base model.

    Takes effect at once. The rolled-back adapter is not trained again on the same lessons: the next
    night waits until you mark, edit or forget something.
    """
    from agent.adapters import read_pointer
    from trainer.adapters.publish import rollback as go_back

    home, _settings = open_home()
    go_back(home)
    _say(read_pointer(home.adapters).current, as_json)


def _pin(prefix: str, on: bool, as_json: bool) -> None:
    from agent.adapters import find_adapter
    from trainer.adapters.publish import pin

    home, _settings = open_home()
    adapter = find_adapter(home.adapters, prefix)
    pin(home, adapter.id, on)
    if as_json:
        print_json({"id": adapter.id, "pinned": on})
    else:
        echo(f"Adapter {adapter.id[:8]} {'is pinned' if on else 'is no longer pinned'}.")


def _say(current: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"current": current})
    elif current:
        echo(f"Now using adapter {current[:8]}.")
    else:
        echo("Now using the base model alone.")
