"""`discern memory`: see and rule what is remembered."""

from __future__ import annotations

import click

from tui.verbs.shared_options import as_json, open_home, print_json


@click.group()
def memory() -> None:
    """List, search, show and forget past differences."""


@memory.command("list")
@as_json
def list_differences(as_json: bool) -> None:
    """List every difference, the oldest first."""
    from memory.memory import Memory
    from tui.text import one_line

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        found = memory.journal.differences()
    if as_json:
        print_json(found)
        return
    for item in found:
        sounds = item.contrast.sounds or item.note or "(no contrast yet)"
        click.echo(
            f"{item.id[:8]}  {item.at.astimezone():%Y-%m-%d}  {item.moment:8} {item.state:8} "
            f"{one_line(item.asked, 34)} => {one_line(sounds, 34)}"
        )
    if not found:
        click.echo(
            "No differences yet. Mark a reply with /diff in the chat or with `discern mark`."
        )


@memory.command()
@click.argument("identity", metavar="ID")
@as_json
def show(identity: str, as_json: bool) -> None:
    """Show one difference in full."""
    from memory.memory import Memory
    from tui.text import clean

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.journal.difference(identity)
    if as_json:
        print_json(item)
        return
    lines = {
        "id": item.id,
        "marked": f"{item.at.astimezone():%Y-%m-%d %H:%M} in thread {item.thread}",
        "moment": f"{item.moment}{f' ({item.kind})' if item.kind else ''}, {item.state}",
        "asked": item.asked,
        "answered": item.replied,
        "about": item.span.quote if item.span else None,
        "missed": item.contrast.missed,
        "lost": item.contrast.lost,
        "sounds": item.contrast.sounds,
        "note": item.note,
        "spoke": f"{item.model}{f' with adapter {item.adapter[:8]}' if item.adapter else ''}",
    }
    for name, text in lines.items():
        if text:
            click.echo(f"{name:>9}  " + clean(text).replace("\n", "\n" + " " * 11))


@memory.command()
@click.argument("identity", metavar="ID")
@as_json
def forget(identity: str, as_json: bool) -> None:
    """Forget one difference for good; the next training run will not know it."""
    from memory.memory import Memory
    from tui.text import one_line

    home, settings = open_home()
    with Memory.open(home, settings, dense=False) as memory:
        item = memory.forget(identity)
    if as_json:
        print_json({"forgotten": item.id})
    else:
        click.echo(f"Forgotten: {item.id[:8]}, {one_line(item.asked, 60)}")


@memory.command()
@click.argument("text")
@click.option("--limit", default=10, show_default=True, help="How many at most.")
@as_json
def search(text: str, limit: int, as_json: bool) -> None:
    """Show what would be recalled for TEXT, ranked, with scores and the floor."""
    from memory.memory import Memory
    from tui.text import one_line

    home, settings = open_home()
    with Memory.open(home, settings) as memory:
        found = memory.search(text, limit=limit)
    floor = settings.recall.floor
    if as_json:
        print_json(
            [
                {
                    "id": item.difference.id,
                    "score": item.score,
                    "recalled": item.score >= floor,
                    "matched": item.matched,
                    "asked": item.difference.asked,
                    "sounds": item.difference.contrast.sounds,
                }
                for item in found
            ]
        )
        return
    for item in found:
        sign = "◆" if item.score >= floor else "·"
        click.echo(
            f"{sign} {item.score:.2f}  {item.difference.id[:8]}  "
            f"{one_line(item.difference.asked, 50)}  [{' '.join(item.matched)}]"
        )
    click.echo(f"◆ clears the floor of {floor}" if found else "Nothing bears on that.")


@memory.command()
@as_json
def kinds(as_json: bool) -> None:
    """List the thirty kinds of difference."""
    from memory.kinds import kinds as all_kinds

    found = all_kinds()
    if as_json:
        print_json(list(found.values()))
        return
    for kind in found.values():
        indent = "  " if kind.type else ""
        click.echo(f"{indent}{kind.type or kind.family:<14}{kind.russian:<18}{kind.shows}")
