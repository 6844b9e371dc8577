"""`discern web`: the chat in a browser on this machine."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import click

from memory.text.counts import counted
from tui.cli.shared_options import model_option, open_home, refuse_contradiction, thread_option
from tui.terminal.printing import echo

if TYPE_CHECKING:
    from tui.web.auth import Authenticator
    from tui.web.server import Stopped

LOOPBACK = ("127.0.0.1", "localhost")


@click.command(
    epilog="""\b
Examples:
  discern web                     print an address to open in a browser on this machine
  discern web --open              also open it
  discern web --port 8000         use a fixed port, for example for
  ssh -L 8000:127.0.0.1:8000 home a tunnel from another machine
The address contains a key that changes at each start. Anyone who has it can use your chat.
Ctrl-C stops the server.
"""
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to use; by default any free one."
)
@click.option("--open", "then_open", is_flag=True, help="Open the address in the browser.")
@click.option("--host", default=LOOPBACK[0], hidden=True)
@thread_option
@click.option("--new", is_flag=True, help="Start a new thread in each tab.")
@model_option
def web(
    port: int, then_open: bool, host: str, thread: str | None, new: bool, model: str | None
) -> int:
    """Serve the chat to a browser on this machine, protected by a key.

    Each tab is a separate chat that loads the model itself; at most six can be open. Only the first
    one searches by vectors, since one process at a time can use the index. Closing a tab loses
    nothing. Since the browser reserves Ctrl+T, Ctrl+N and Ctrl+W, use F4 to open the training
    screen.
    """
    import asyncio

    from memory.journal.tables.threads import thread_name
    from tui.web.server import Server

    if host not in LOOPBACK:
        raise click.UsageError(
            f"{host} is not a loopback address, and Discern only serves this machine; to "
            "connect from another one, use a tunnel: ssh -L 8000:127.0.0.1:8000 with "
            "`discern web --port 8000`"
        )
    refuse_contradiction(thread, False, new)
    if thread:
        thread_name(thread)
    _home, settings = open_home(model)  # report errors in the settings here, not in every tab
    options = [
        *(["--thread", thread] if thread else []),
        *(["--new"] if new else []),
        *(["--model", model] if model else []),
    ]

    def opened(authenticator: Authenticator) -> None:
        echo(authenticator.url)
        echo("Open this address in a browser on this machine. Press Ctrl-C to stop.", err=True)
        if then_open:
            # In a thread: a terminal browser blocks its caller until it is closed.
            threading.Thread(
                target=_open, args=(authenticator.one_time_url(),), daemon=True
            ).start()

    async def serve() -> Stopped:
        light = "light" in settings.ui.theme
        server = Server(options, lambda words: echo(words, err=True), light=light)
        return await server.run(port, opened)

    stopped = asyncio.run(serve())
    closed = f", closing {counted(stopped.tabs, 'open tab')}" if stopped.tabs else ""
    echo(f"Stopped{closed}. All conversations are saved.", err=True)
    return 0 if stopped.number == signal.SIGINT else 128 + stopped.number


def _open(url: str) -> None:
    import webbrowser

    from memory.settings.paths import user_umask

    before = os.umask(0o077)
    if (theirs := user_umask()) >= 0:  # files saved by the browser get the user's own umask
        os.umask(theirs)
    try:
        opened = webbrowser.open(url)
    finally:
        os.umask(before)
    if not opened:
        echo("Cannot open a browser; open the address yourself.", err=True)
