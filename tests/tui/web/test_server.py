"""The chat in a browser: access, tabs, and cleanup."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from memory.files.sqlite_file import log_of
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.health import check
from tests.support.processes import ROOT
from tests.tui.seat import until
from tests.tui.web.browser import CHROMIUM, browsing
from tests.tui.web.served import children, serving, tab
from tui.cli.main import run
from tui.web.server import Server

QUESTION, ANSWER = "What is the capital of Australia?", "Canberra"


def asked_in(home: Home) -> list[str]:
    with Journal(home.journal) as journal:
        return [turn.asked for turn in journal.turns.all()]


async def test_nothing_is_served_without_the_key(home: Home) -> None:
    async with serving() as served:
        for path in ("/", "/?key=", "/?key=wrong", "/?key=%D1%8F", "/page.css", "/no/such"):
            assert (await served.get(path))[0] == 403, path
        key = served.url.partition("?")[2]
        for path in ("/static/js/textual.js?" + key, "/ws?" + key, "/download/1?" + key):
            assert (await served.get(path))[0] == 403, path
        _status, said, headers = await served.get("/")
        assert "the key is missing" in said
        assert "Set-Cookie" not in headers
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with tab(served):
                pass
        assert not children(home)


async def test_a_key_works_once_and_becomes_a_cookie(home: Home) -> None:
    async with serving() as served:
        status, _said, headers = await served.get("/?" + served.url.partition("?")[2])
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert served.url.partition("key=")[2] not in cookie
        status, page, headers = await served.get("/")
        assert status == 200
        assert "textual-terminal" in page
        assert "key=" not in page
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        asked_for = re.findall(r'(?:src|href)="([^"]+)"', page)
        parts = [part for part in asked_for if part.startswith("/") and part != "/"]
        assert len(parts) == 4
        for part in parts:
            status, text, _headers = await served.get(part)
            assert status == 200
            if not part.startswith("/static"):
                assert "//" not in re.sub(r"^\s*//.*|/\*.*?\*/", "", text, flags=re.M | re.S)
        assert all(part.startswith("/") or part == "data:," for part in asked_for)
        assert (await served.get("/?key=wrong"))[0] == 403


async def test_other_hosts_and_other_origins_are_refused(by_words: Home) -> None:
    async with serving() as served:
        await served.come_in()
        port = served.origin.rpartition(":")[2]
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1"):
            assert (await served.get("/", headers={"Host": host}))[0] == 403, host
        for origin in (
            "http://evil.example",
            "null",
            "http://127.0.0.1:1",
            f"https://127.0.0.1:{port}",
        ):
            assert (await served.get("/", headers={"Origin": origin}))[0] == 403, origin
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await served.client.ws_connect(f"{served.origin}/ws", headers={"Origin": origin})
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await served.client.ws_connect(f"{served.origin}/ws")
        assert (await served.get("/", headers={"Origin": served.origin}))[0] == 200
        assert not children(by_words)


async def test_the_server_listens_only_on_localhost(home: Home) -> None:
    async with serving() as served:
        port = int(served.origin.rpartition(":")[2])
        wanted = f"{0x0100007F:08X}:{port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        lines += [line.split() for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]]
        listening = [
            line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")
        ]
        assert listening == [wanted]


async def test_a_tab_shows_the_chat_and_answers(by_words: Home) -> None:
    async with serving() as served:
        await served.come_in()
        async with tab(served) as opened:
            await opened.sees("Discern starter")
            await opened.types(QUESTION)
            await opened.sees(ANSWER)
            for nonsense in (
                "{",
                "[]",
                "7",
                '["stdin", 7]',
                '["resize", {"width": "x"}]',
                '["no", 1]',
                "[" * 100_000,
            ):
                await opened.websocket.send_str(nonsense)
            await opened.websocket.send_json(["ping", "1"])
            await opened.types("/recall off")
            await opened.sees("Recall is off")
            assert len(children(by_words)) == 1
        await until(lambda: not children(by_words))
        with Journal(by_words.journal) as journal:
            assert [turn.asked for turn in journal.turns.all()] == [QUESTION]


async def test_quitting_the_chat_closes_the_tab(by_words: Home) -> None:
    async with serving() as served:
        await served.come_in()
        async with tab(served) as opened:
            await opened.sees("Discern starter")
            await opened.websocket.send_json(["stdin", "\x11"])  # Ctrl+Q
            await until(lambda: opened.websocket.closed)
        await until(lambda: not children(by_words))


async def test_a_chat_that_cannot_open_reports_why_in_the_terminal(by_words: Home) -> None:
    async with serving("--model", "/nowhere.gguf") as served:
        await served.come_in()
        async with tab(served) as opened:
            await until(lambda: opened.websocket.closed)
        served.process.send_signal(signal.SIGINT)
        _out, said = await served.process.communicate()
        assert b"there is no model at /nowhere.gguf" in said
        assert b"Traceback" not in said


@pytest.mark.slow
async def test_a_second_tab_uses_keyword_search_and_a_reload_does_not(home: Home) -> None:
    home.settings_file.write_text("[sampling]\ntemperature = 0.0\n")
    async with serving() as served:
        await served.come_in()
        async with tab(served) as first:
            await first.sees("Discern starter")
            async with tab(served) as second:
                await second.sees("using keyword search only")
                await second.types(QUESTION)
                await second.sees(ANSWER)
        async with tab(served) as again:
            await again.sees("Discern starter")
            await again.types("/recall on")
            await again.sees("Recall is on")
            assert "using keyword search only" not in again.shown


@pytest.mark.slow
async def test_each_of_two_tabs_on_one_thread_marks_the_reply_that_it_shows(
    by_words: Home,
) -> None:
    other = "What is the capital of Kenya?"
    async with serving("--thread", "trip") as served:
        await served.come_in()
        async with tab(served) as first:
            await first.sees("Discern starter")
            await first.types(QUESTION)
            await first.sees(ANSWER)
            await until(lambda: asked_in(by_words) == [QUESTION])
            async with tab(served) as second:
                await second.sees(QUESTION)
                await second.types(other)
                await until(lambda: asked_in(by_words) == [QUESTION, other])
                await first.types("/diff surprise => In Canberra.")
                await first.sees("Saved as surprise")
                await second.types("/diff surprise => In Nairobi.")
                await second.sees("Saved as surprise")
                assert other not in first.shown
    with Journal(by_words.journal) as journal:
        marks = journal.differences.all()
        assert [(item.asked, item.contrast.sounds) for item in marks] == [
            (QUESTION, "In Canberra."),
            (other, "In Nairobi."),
        ]


@pytest.mark.slow
async def test_ctrl_c_ends_every_tab_and_leaves_no_process(by_words: Home) -> None:
    async with serving() as served:
        await served.come_in()
        async with tab(served) as one, tab(served) as two:
            await one.sees("Discern starter")
            await two.sees("Discern starter")
            await one.types(QUESTION)
            await one.sees(ANSWER)
            assert len(children(by_words)) == 2
            served.process.send_signal(signal.SIGINT)
            _out, said = await served.process.communicate()
            assert served.process.returncode == 0
            assert b"2 open tabs" in said
            assert not children(by_words)
    with Journal(by_words.journal) as journal:
        assert ANSWER in journal.turns.all()[0].replied


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
async def test_a_signal_ends_the_server_and_its_tabs(
    by_words: Home, number: signal.Signals
) -> None:
    async with serving() as served:
        await served.come_in()
        async with tab(served) as opened:
            await opened.sees("Discern starter")
            await opened.websocket.send_json(["stdin", "half a message"])
            await opened.sees("half a message")
            served.process.send_signal(number)
            _out, said = await served.process.communicate()
            assert served.process.returncode == 128 + number
            assert b"Stopped, closing 1 open tab." in said
            assert b"Traceback" not in said
            assert not children(by_words)
        with pytest.raises(aiohttp.ClientConnectorError):
            await served.get("/")
    assert not log_of(by_words.journal).exists()  # the chat closed the journal
    with Journal(by_words.journal) as journal:
        assert journal.drafts.pop() == "half a message"
        assert check(by_words, journal) == ()


@pytest.mark.slow
async def test_a_server_that_ignores_hangups_continues(home: Home) -> None:
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as with nohup
    try:
        async with serving() as served:
            served.process.send_signal(signal.SIGHUP)
            assert (await served.get("/"))[0] == 403
            served.process.send_signal(signal.SIGTERM)
            _out, said = await served.process.communicate()
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert served.process.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in said


@pytest.mark.slow
async def test_a_killed_server_leaves_no_chat_process(by_words: Home) -> None:
    async with serving() as served:
        await served.come_in()
        async with tab(served) as opened:
            await opened.sees("Discern starter")
            served.process.kill()
            await served.process.communicate()
            await until(lambda: not children(by_words))


async def test_a_used_port_and_another_host_are_reported_in_one_sentence(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "tui", "web", "--port", port],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"discern: cannot listen on port {port}: ")
    for host in ("0.0.0.0", "::", "example.org"):
        assert run(["web", "--host", host]) == 2
        assert "a tunnel" in capsys.readouterr().err
    assert run(["web", "--thread", "work", "--new"]) == 2
    assert "mutually exclusive" in capsys.readouterr().err
    assert run(["web", "--thread", "a\nb"]) == 2
    assert "not a valid thread name" in capsys.readouterr().err


async def test_the_key_of_an_opened_browser_works_once(home: Home, tmp_path: Path) -> None:
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {told}\n')
    browser.chmod(0o700)
    async with serving("--open", BROWSER=f"{browser} %s") as served:
        await until(lambda: told.exists() and told.read_text().endswith("\n"))
        shown = told.read_text().strip()
        key = "/?" + shown.partition("?")[2]
        assert shown.startswith(served.base)
        assert shown != served.url
        assert (await served.get(key))[0] == 303
        assert (await served.get("/"))[0] == 200
        served.client.cookie_jar.clear()
        status, said, _headers = await served.get(key)
        assert status == 403
        assert "this key was already used" in said
        assert (await served.get("/?" + served.url.partition("?")[2]))[0] == 303


@pytest.mark.slow
async def test_tabs_beyond_the_limit_are_refused(
    by_words: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    monkeypatch.setattr("tui.web.server.MAX_TABS", 1)
    said: list[str] = []
    server = Server([], said.append)
    application = web.Application()
    application.router.add_get("/ws", server._tab)
    async with TestClient(TestServer(application)) as client:
        async with client.ws_connect("/ws") as first:
            assert (await first.receive()).type == aiohttp.WSMsgType.BINARY
            async with client.ws_connect("/ws") as second:
                assert (await second.receive()).type == aiohttp.WSMsgType.CLOSE
            assert said == [
                "A tab was not opened: 1 are open already, and each holds a model; close one and open "
                "it again."
            ]
            assert len(children(by_words)) == 1
        async with client.ws_connect("/ws") as again:
            assert (await again.receive()).type == aiohttp.WSMsgType.BINARY
    await until(lambda: not children(by_words))


async def test_malformed_requests_do_not_fill_the_terminal(home: Home) -> None:
    async with serving() as served:
        port = int(served.origin.rpartition(":")[2])
        for request in (b"\0\r\n\r\n", b"GET /?\xff HTTP/1.1\r\nHost: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            assert b"400 Bad Request" in await reader.read()
            writer.close()
        served.process.send_signal(signal.SIGINT)
        _out, said = await served.process.communicate()
        assert b"Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_a_real_browser_chats_and_marks_without_other_requests(
    by_words: Home, tmp_path: Path
) -> None:
    def rows(table: str) -> int:
        # Read only: opening a journal for writing again and again would block its owner.
        with closing(sqlite3.connect(f"file:{by_words.journal}?mode=ro", uri=True)) as reader:
            known = reader.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,))
            if not known.fetchone()[0]:
                return 0
            return int(reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    async with serving() as served, browsing(tmp_path / "browser", served.url) as page:
        while "-first-byte" not in str(await page.asks("document.body.className")):
            await asyncio.sleep(0.05)
        while await page.asks("document.activeElement.className") != "xterm-helper-textarea":
            await asyncio.sleep(0.05)
        assert await page.asks("location.href") == served.base
        assert await page.asks("document.cookie") == ""
        await until(by_words.journal.exists)  # the canvas cannot be read; the chat is there now
        await page.types(QUESTION)
        await page.presses("Enter", 13)

        await until(lambda: rows("turns") == 1)
        await page.types("/diff surprise => In Canberra, since 1913.")
        await page.presses("Enter", 13)

        await until(lambda: rows("differences") == 1)
        here = (served.origin, served.origin.replace("http", "ws"), "data:")
        assert [url for url in page.requested if not url.startswith(here)] == []
        assert not [text for text in page.complaints if "Content Security Policy" in text]
