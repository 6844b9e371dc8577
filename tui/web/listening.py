"""The listening socket of `discern web`, and accepting connections.

Other users of this machine can reach the port, but cannot log in. So the number of connections is
limited, and one that does not send a complete request is closed (`web.AppRunner`, `keepalive_timeout`).
asyncio's own server is not used: without a free descriptor, Python 3.11's retries without a pause and
logs a traceback each time.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from aiohttp import web

from memory.errors import HomeError
from tui.web.auth import ADDRESS

MAX_CONNECTIONS = 64
"""Maximum number of connections; more wait in the system's queue."""
REQUEST_SECONDS = 5.0
"""Maximum seconds for a connection to send a complete request, or the next one."""
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors of a system without a free descriptor."""
_PAUSE = 0.25
_SILENCE = 60.0  # seconds between two messages


def listen(port: int) -> socket.socket:
    """Return a listening socket on the loopback address; port 0 is a free one.

    Raises:
        HomeError: the port is taken or not permitted.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise HomeError(
            "cannot listen on port {port}: {strerror}; choose another port, or omit --port to use "
            "a free one",
            port=port,
            strerror=error.strerror,
        ) from error
    return listening


async def accept(listening: socket.socket, server: web.Server, say: Callable[[str], None]) -> None:
    """Accept connections for `server` until cancelled; wait while no descriptor is free.

    `say` is called with a message about that, at most once a minute.
    """
    loop = asyncio.get_running_loop()
    silent_until = loop.time()
    while True:
        if len(server.connections) >= MAX_CONNECTIONS:
            await asyncio.sleep(_PAUSE)
            continue
        try:
            connection, _address = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno in FULL and loop.time() >= silent_until:
                silent_until = loop.time() + _SILENCE
                say(f"A browser has to wait: {error.strerror}; close tabs or other programs.")
            await asyncio.sleep(_PAUSE)
            continue
        try:
            await loop.connect_accepted_socket(server, connection)
        except OSError:  # gone already
            connection.close()
