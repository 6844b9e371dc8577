"""The real chat for `benchmarks/streaming.py`, with a script instead of the model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Markdown

from agent.chat.chat import Chat
from agent.chat.graph import Delta, Finished
from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tui.chat.conversation import Conversation
from tui.chat.thread_view import ThreadView
from tui.cli.main import run
from tui.markdown.parser import parser
from tui.terminal.sanitize import clean


class Clock:
    """Measures seconds and processor time from the first word on."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._began = self._cpu = 0.0

    def start(self) -> None:
        """Start measuring, and notify the parent."""
        self._began, self._cpu = time.monotonic(), time.process_time()
        self._out.with_suffix(".started").touch()

    def stop(self) -> None:
        """Write the measurements for the parent."""
        taken = {
            "seconds": time.monotonic() - self._began,
            "cpu": time.process_time() - self._cpu,
        }
        part = self._out.with_suffix(".part")
        part.write_text(json.dumps(taken))
        part.rename(self._out)


def streaming(contestant: str, text: str, rate: int, out: Path) -> None:
    """Open a chat whose every reply is `text`, at `rate` chunks per second."""
    from benchmarks.streaming_texts import chunks

    clock, say, follow = Clock(out), Chat.say, Conversation._follow

    def scripted(self: Chat, *arguments: Any, **options: Any) -> Iterator[Any]:
        spoken = False
        for event in say(self, *arguments, **options):
            if isinstance(event, Delta):
                if not spoken:
                    clock.start()
                    began = time.monotonic()
                    for number, piece in enumerate(chunks(text)):
                        wait = began + number / rate - time.monotonic()
                        if wait > 0:
                            time.sleep(wait)
                        yield replace(event, text=piece)
                spoken = True
            elif isinstance(event, Finished):
                yield replace(event, turn=replace(event.turn, replied=text))
            else:
                yield event

    async def timed(self: Conversation, *arguments: Any) -> None:
        await (follow if contestant == "ours" else _through_get_stream)(self, *arguments)
        await self._painted()
        clock.stop()

    Chat.say = scripted  # type: ignore[assignment, method-assign]  # to time it
    Conversation._follow = timed  # type: ignore[assignment, method-assign]  # to time it
    run([])


async def _through_get_stream(self: Conversation, stream: Any, view: Any, *_rest: Any) -> None:
    """Show a reply as in Textual's documentation: every chunk is written when it arrives."""
    markdown = Markdown(parser_factory=parser, open_links=False)
    view.reply.page.display = False
    await view.reply.mount(markdown)
    shown = Markdown.get_stream(markdown)
    while True:
        batch = await stream.take()
        await shown.write(batch.text)
        if batch.finished is not None:
            view.turn = batch.finished.turn
        if batch.ended:
            break
    await shown.stop()


class MarkdownReply(Vertical):
    """A finished reply as a Markdown widget."""

    DEFAULT_CSS = "MarkdownReply { height: auto; width: 1fr; & > Markdown { padding: 0; } }"

    def __init__(self, text: str | None = None) -> None:
        super().__init__()
        self.text = clean(text or "")

    def compose(self) -> ComposeResult:
        """Yield the widget that renders the reply."""
        yield Markdown(self.text, parser_factory=parser, open_links=False)


def opening(contestant: str, turns: int, out: Path) -> None:
    """Open a chat in a thread of `turns` long turns."""
    from benchmarks.streaming_texts import LONG
    from tui.widgets.chat import turn as turn_module

    home = Home.locate()
    home.prepare()
    with Journal(home.journal) as journal:
        for number in range(turns):
            journal.turns.add(Turn(new_id(), "long", now(), f"Question {number}?", LONG, "m"))
    clock, show = Clock(out), ThreadView.show

    async def painted(self: ThreadView) -> None:
        if contestant != "ours":
            for markdown in self._context.transcript.query(Markdown):
                async with markdown.lock:
                    pass
        shown = asyncio.Event()
        self._context.screen.call_after_refresh(shown.set)
        await shown.wait()
        clock.stop()

    async def timed(self: ThreadView, choose: str | None = None) -> None:
        clock.start()
        await show(self, choose)
        waiting.append(asyncio.create_task(painted(self)))  # the screen paints once this returns

    waiting: list[asyncio.Task[None]] = []
    if contestant != "ours":
        setattr(turn_module, "Reply", MarkdownReply)  # noqa: B010 - not exported there
    ThreadView.show = timed  # type: ignore[method-assign]  # to time it
    run(["--thread", "long"])
