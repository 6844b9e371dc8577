"""Exported threads: Markdown that content cannot break, JSON with stable keys."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from memory.difference import Contrast, Difference, Moment, Span, Turn
from memory.errors import ThreadError
from memory.journal.journal import Journal
from memory.journal.tables.threads import ThreadExport
from memory.settings.paths import Home
from memory.transfer.session_file import free_path, to_json, to_markdown, write_session
from tui.terminal.sanitize import clean

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOSTILE = (
    "```python\nnever closed",
    "~~~\nnever closed",
    "- a list\n  ```\n  never closed",
    "<!-- a comment",
    "`` ` <script>alert(1)</script>",
    "<details>\n\n# a heading",
    "# a heading\n---\n===",
    "`````\n<b>\n````\n",
    "[You]: http://example.org\n\n![x][You]",
    "> quoted\n>> more\n\n    code",
    "\x1b[31mred\x1b[0m \u202eback\x07",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "",
    "\n\n",
)


def turn(number: int, asked: str, replied: str) -> Turn:
    return Turn(f"{number:016x}", "t", AT, asked, replied, "starter@0a1b", "abcdef0123456789")


def headings(text: str) -> list[str]:
    """The headings at the top of the document, as a reader of Markdown finds them."""
    tokens = MarkdownIt().parse(text)
    return [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.level == 0
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_conversation_text_cannot_break_the_markup(text: str) -> None:
    item = Difference(
        "a" * 16,
        f"{0:016x}",
        "t",
        AT,
        Moment.ERROR,
        text,
        text,
        contrast=Contrast(text, None, text),
    )
    told = ThreadExport("a *name* <b>", (turn(0, text, text), turn(1, "Then?", "Then.")), (item,))
    written = to_markdown(told, clean)
    assert [line.partition(",")[0] for line in headings(written)] == [
        "a \\*name\\* \\<b\\>", "You", "starter@0a1b with adapter abcdef01", "You",
        "starter@0a1b with adapter abcdef01",
    ]  # fmt: skip
    rendered = MarkdownIt().render(written)
    assert "<script>" not in rendered
    assert "<!--" not in rendered
    assert "<details>" not in rendered
    assert "<img" not in rendered
    assert not {"\x1b", "\x07", "\u202e"} & set(written)
    assert "<blockquote>\n<p>Then.</p>\n</blockquote>" in rendered


def test_markdown_shows_the_reply_and_its_marks_below() -> None:
    reply = "A list:\n\n- **one**\n- two\n\n```python\nprint(1)\n```"
    item = Difference(
        "a" * 16, f"{0:016x}", "t", AT, Moment.ERROR, "Show me.", reply, kind="semantic/tone",
        contrast=Contrast("the tone", None, "Shorter."), note="n",
        span=Span.within(reply, 0, 6),
    )  # fmt: skip
    rendered = MarkdownIt().render(
        to_markdown(ThreadExport("t", (turn(0, "Show me.", reply),), (item,)), clean)
    )
    assert "<li><strong>one</strong></li>" in rendered
    assert "language-python" in rendered
    for text in (
        "marked: error, semantic/tone",
        "quote",
        "the tone",
        "better answer",
        "Shorter.",
    ):
        assert text in rendered
    assert "lost" not in rendered


def test_json_keeps_every_character_and_escapes_active_ones() -> None:
    asked = "\x1b[31m\u202e é 漢字"
    item = Difference("a" * 16, f"{0:016x}", "t", AT, Moment.HOLD, asked, "Yes.")
    text = to_json(ThreadExport("t", (turn(0, asked, "Yes."),), (item,)))
    assert not {"\x1b", "\u202e"} & set(text)
    assert "漢字" in text
    found = json.loads(text)
    assert (found["discern"], found["version"], found["thread"]) == ("session", 1, "t")
    (one,) = found["turns"]
    assert one["asked"] == asked
    assert one["at"] == "2026-03-10T12:00:00+00:00"
    assert one["marks"][0]["moment"] == "hold"
    assert one["marks"][0]["sounds"] is None
    page = (Path(__file__).parents[3] / "docs" / "sessions.md").read_text("utf-8")
    for key in (*found, *one, *one["marks"][0]):
        assert f"`{key}`" in page


def test_session_files_are_private_and_overwrite_nothing(home: Home, tmp_path: Path) -> None:
    path = free_path(tmp_path, "../к морю: 1/2", "md")
    assert path.name == "к-морю-1-2.md"
    assert path.parent == tmp_path
    with Journal(home.journal) as journal:
        assert write_session(journal, path, "one") == path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert free_path(tmp_path, "../к морю: 1/2", "md").name == "к-морю-1-2-2.md"
        assert free_path(tmp_path, "…", "json").name == "thread.json"
        with pytest.raises(ThreadError, match="already exists; choose another file"):
            write_session(journal, path, "two")
        assert path.read_text() == "one"
        with pytest.raises(ThreadError, match="cannot write"):
            write_session(journal, tmp_path / "none" / "x.md", "three")
