"""`discern web`: the same chat in a browser on this machine."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import click

from tui.cli.completion_values import threads
from tui.cli.shared_options import model_option, open_home, refuse_contradiction
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from tui.web.auth import Door

LOOPBACK = ("127.0.0.1", "localhost")


@click.command(
    epilog="""\b
Examples:
  discern web                     prints an address; open it in a browser on this machine
  discern web --open              opens it, too
  discern web --port 8000         always the same port, such as for
  ssh -L 8000:127.0.0.1:8000 home a tunnel from another machine
The address holds a key that is new at each start: whoever has it has your chat. Ctrl-C ends it.
"""
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port; by default a free one."
)
@click.option("--open", "then_open", is_flag=True, help="Open it in the browser.")
@click.option("--host", default=LOOPBACK[0], hidden=True)
@click.option(
    "--thread",
    metavar="NAME",
    help="Open this thread instead of the last one.",
    shell_complete=threads,
)
@click.option("--new", is_flag=True, help="Begin a new thread in each tab.")
@model_option
def web(
    port: int, then_open: bool, host: str, thread: str | None, new: bool, model: str | None
) -> int:
    """Serve the chat to a browser on this machine, behind a key.

    Each tab is a chat of its own and loads the model for itself, six at most; the second one recalls by
    words, since one process at a time owns the index. A tab that is closed keeps what was said. The
    browser keeps Ctrl+T, Ctrl+N and Ctrl+W for itself; F4 opens the training there.
    """
    import asyncio

    from memory.journal.threads import thread_name
    from tui.web.server import Server

    if host not in LOOPBACK:
        raise click.UsageError(
            f"{host} is not this machine alone, and Discern serves nobody else; from another machine "
            "come through a tunnel: ssh -L 8000:127.0.0.1:8000 and `discern web --port 8000`"
        )
    refuse_contradiction(thread, False, new)
    if thread:
        thread_name(thread)
    _home, settings = open_home(model)  # a mistake in them is said here and not in every tab
    options = [
        *(["--thread", thread] if thread else []),
        *(["--new"] if new else []),
        *(["--model", model] if model else []),
    ]

    def opened(door: Door) -> None:
        echo(door.url)
        echo("Open it in a browser on this machine. Ctrl-C ends it.", err=True)
        if then_open:
            # Beside the server: a browser of the terminal keeps its caller until it is left.
            threading.Thread(target=_open, args=(door.once(),), daemon=True).start()

    async def serve() -> int:
        light = "light" in settings.ui.theme
        server = Server(options, lambda words: echo(words, err=True), light=light)
        return await server.run(port, opened)

    ended = asyncio.run(serve())
    echo(
        f"Ended{f', and {ended} open tab' + 's' * (ended != 1) if ended else ''}; "
        "what was said is kept.",
        err=True,
    )
    return 0


def _open(url: str) -> None:
    import webbrowser

    from memory.settings.paths import persons_umask

    before = os.umask(0o077)
    if (theirs := persons_umask()) >= 0:  # what the browser will save is theirs
        os.umask(theirs)
    try:
        opened = webbrowser.open(url)
    finally:
        os.umask(before)
    if not opened:
        echo("No browser could be opened here; open the address yourself.", err=True)
