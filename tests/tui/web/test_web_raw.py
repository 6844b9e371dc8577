"""`discern web` with raw sockets: malformed bytes and too many connections."""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

import pytest

from memory.settings.paths import Home
from tests.tui.seat import until
from tests.tui.web.served import Served, serving
from tui.web.auth import Authenticator
from tui.web.server import Server


async def answer(port: int, *lines: bytes) -> bytes:
    """Send lines and an empty one; return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\r\n".join((*lines, b"Connection: close", b"", b"")))
    try:
        return await reader.read()
    finally:
        writer.close()


def port_of(served: Served) -> int:
    return int(served.origin.rpartition(":")[2])


def descriptors(process: int | str = "self") -> int:
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


async def stderr_text(served: Served) -> str:
    served.process.send_signal(signal.SIGINT)
    _out, said = await served.process.communicate()
    return said.decode()


async def test_an_invalid_cookie_is_refused_without_a_traceback(home: Home) -> None:
    async with serving() as served:
        port = port_of(served)
        name = b"discern-%d=" % port
        for value in (b"\xff\xfe", b"\x80", "я".encode(), b'"\\377"', b"a\xedb\xa0", b"\xc3", b"="):
            for cookie in (name + value, b"x=\xff; " + name + value, value):
                said = await answer(
                    port, b"GET / HTTP/1.1", b"Host: 127.0.0.1:%d" % port, b"Cookie: " + cookie
                )
                assert said.startswith(b"HTTP/1.1 403 "), (cookie, said)
        for key in (b"%ff", b"%ed%a0%80", b"%00", b"\xd1\x8f"):
            said = await answer(
                port, b"GET /?key=" + key + b" HTTP/1.1", b"Host: 127.0.0.1:%d" % port
            )
            assert said.split()[1] in (b"403", b"400"), (key, said)
        assert "Traceback" not in await stderr_text(served)


async def test_two_origins_are_refused(home: Home) -> None:
    async with serving() as served:
        await served.come_in()
        port = port_of(served)
        host = b"Host: 127.0.0.1:%d" % port
        [cookie] = served.client.cookie_jar
        mine = [b"GET / HTTP/1.1", host, f"Cookie: {cookie.key}={cookie.value}".encode()]
        ours, theirs = b"Origin: " + served.origin.encode(), b"Origin: http://evil.example"
        assert (await answer(port, *mine, ours)).startswith(b"HTTP/1.1 200 ")
        for origins in ((ours, theirs), (theirs, ours), (ours, ours)):
            assert (await answer(port, *mine, *origins)).startswith(b"HTTP/1.1 403 "), origins


async def test_a_half_open_request_is_closed_after_a_few_seconds(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.web.server.REQUEST_SECONDS", 0.2)
    authenticators: asyncio.Queue[Authenticator] = asyncio.Queue()
    server = Server([], lambda words: None)
    running = asyncio.create_task(server.run(0, authenticators.put_nowait))
    host = (await authenticators.get()).hosts[0].encode()
    whole = b"GET /page.css HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    for begun in (b"", b"GET", b"GET / HTTP/1.1\r\nHost: " + host, whole, whole + b"GET"):
        reader, writer = await asyncio.open_connection(*host.decode().split(":"))
        writer.write(begun)
        said = await reader.read()  # ends when the server closes
        assert said.count(b"HTTP/1.1 403 ") == begun.count(whole)
        writer.close()
    server.stop(signal.SIGINT)
    assert (await running).tabs == 0


async def test_the_server_waits_quietly_while_file_descriptors_are_exhausted(home: Home) -> None:
    async with serving() as served:
        pid, port = served.process.pid, port_of(served)
        open_now = descriptors(pid)
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 4, hard))
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        await until(lambda: descriptors(pid) == open_now + 4)
        waiting = asyncio.create_task(served.get("/"))
        errors = served.process.stderr
        assert errors is not None
        said = await errors.readuntil(b"close tabs or other programs.\n")
        assert not waiting.done()
        for _reader, writer in held:
            writer.close()
        assert (await waiting)[0] == 403
        await served.come_in()
        said += (await stderr_text(served)).encode()
        assert said.count(b"A browser has to wait: Too many open files") == 1
        assert b"Traceback" not in said
        assert len(said) < 500


async def test_many_connections_leave_file_descriptors_for_the_tabs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.web.listening.MAX_CONNECTIONS", 3)
    monkeypatch.setattr("tui.web.server.REQUEST_SECONDS", 0.2)
    authenticators: asyncio.Queue[Authenticator] = asyncio.Queue()
    server = Server([], lambda words: None)
    running = asyncio.create_task(server.run(0, authenticators.put_nowait))
    host, port = (await authenticators.get()).hosts[0].split(":")
    before = descriptors()
    held = [await asyncio.open_connection(host, port) for _ in range(20)]
    ours = len(held)
    most = 0
    for reader, writer in held:  # each is closed in its turn
        most = max(most, descriptors() - before - ours)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        ours -= 1
    assert most <= 3 + 1  # and the listing of the folder itself
    server.stop(signal.SIGINT)
    assert (await running).tabs == 0
