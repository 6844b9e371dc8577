"""`discern adapters`: list, choose, pin, switch off and roll back."""

from __future__ import annotations

import click

from tui.cli.completion_values import adapters as adapters_here
from tui.cli.shared_options import as_json, model_option, open_home, print_json, working
from tui.terminal.printing import echo


@click.group(
    epilog="""\b
Examples:
  discern adapters list
  discern adapters use 3f2a
  discern adapters rollback           what served before serves again
  discern adapters off               the base alone, until `on`
""",
)
def adapters() -> None:
    """List, choose, pin, switch off and roll back adapters; open chats follow within one turn."""


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
    """List the adapters, the newest first."""
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
                    "differences": item.manifest.differences,
                    "metrics": item.manifest.metrics,
                }
                for item in found
            ]
        )
        return
    for item in found:
        sign = "◆" if item.id == current else "◇" if item.id == pointer.waiting else " "
        count = len(item.manifest.differences)
        echo(
            f"{sign} {item.id[:8]}  {item.manifest.created.astimezone():%Y-%m-%d %H:%M}  "
            f"{count} difference{'s' * (count != 1)}, scale {item.manifest.scale:g}, "
            f"for {item.manifest.base.name}{', pinned' if item.pinned else ''}"
        )
    if not found:
        echo("No adapters yet. `discern train` makes one from the differences you marked.")
    if pointer.off:
        waits = "; ◇ waits" if pointer.waiting else ""
        echo(f"Adapters are off{waits}. `discern adapters on` lets them serve again.")


@adapters.command(epilog="\b\nExamples:\n  discern adapters use 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@model_option
@as_json
def use(identity: str, model: str | None, as_json: bool) -> None:
    """Serve with the adapter whose id starts with ID.

    It must belong to the served model.
    """
    from agent.adapters import find_adapter, verify
    from agent.models.serving import served_model
    from trainer.adapters.publish import select
    from trainer.night.adapter_staleness import entry_of

    home, settings = open_home(model)
    adapter = find_adapter(home.adapters, identity)
    with working("reading the model and the adapter"):
        verify(adapter, entry_of(served_model(settings), home.prepare()).sha256)
    select(home, adapter.id)
    _say(adapter.id, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters pin 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@as_json
def pin(identity: str, as_json: bool) -> None:
    """Never remove the adapter whose id starts with ID to make room."""
    _pin(identity, True, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters unpin 3f2a")
@click.argument("identity", metavar="ID", shell_complete=adapters_here)
@as_json
def unpin(identity: str, as_json: bool) -> None:
    """Let a pinned adapter be removed again."""
    _pin(identity, False, as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters off")
@as_json
def off(as_json: bool) -> None:
    """Serve the base model alone until `on` or `use`.

    The adapters stay on disk, and nights go on learning: what they make waits for `on`.
    """
    from trainer.adapters.publish import switch_off

    home, _settings = open_home()
    waiting = switch_off(home)
    if as_json:
        print_json({"current": None, "waiting": waiting})
        return
    _say(None, as_json)
    kept = f"{waiting[:8]} waits" if waiting else "what nights make waits"
    echo(f"That stays so: {kept} until `discern adapters on`.")


@adapters.command(epilog="\b\nExamples:\n  discern adapters on")
@as_json
def on(as_json: bool) -> None:
    """Serve again what waits since `off`.

    That is the adapter of then, or what a night made since.
    """
    from trainer.adapters.publish import switch_on

    home, _settings = open_home()
    _say(switch_on(home), as_json)


@adapters.command(epilog="\b\nExamples:\n  discern adapters rollback")
@as_json
def rollback(as_json: bool) -> None:
    """Go back to the adapter that served before (or to the base).

    It takes effect at once. What you went back from is not trained again on the same lessons: the
    next night waits until a difference was marked, edited or forgotten.
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
        echo(f"Adapter {adapter.id[:8]} {'stays on disk' if on else 'is no longer pinned'}.")


def _say(current: str | None, as_json: bool) -> None:
    if as_json:
        print_json({"current": current})
    elif current:
        echo(f"Adapter {current[:8]} serves now.")
    else:
        echo("The base model serves alone now.")
