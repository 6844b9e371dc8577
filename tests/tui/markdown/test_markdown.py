"""Streaming markdown always equals the rendering of the full text."""

from __future__ import annotations

import random

import pytest
from textual.app import App, ComposeResult

from tests.tui.looks import look
from tests.tui.seat import shown
from tui.markdown.block_layout import BlockLayout
from tui.markdown.block_parser import BlockParser
from tui.markdown.blocks import Block
from tui.markdown.incremental import UNDECIDED_LINE, IncrementalParser, parse_blocks
from tui.markdown.parser import MARKDOWN_SIGNS
from tui.terminal.sanitize import StreamCleaner, clean
from tui.terminal.themes import DARK
from tui.widgets.chat.reply import Reply

TEXTS = {
    "nested lists": "Intro:\n- a\n  - b\n    - c\n      more\n  - d\n\n    para\n- e\n\n\n- f\n\nEnd",
    "numbers that go on": "3. three\n4. four\n9. nine\n\n   in nine\n1) other\n2) two\n",
    "loose lists": "- a\n\n- b\n\n- c\n\ntext\n1. x\n\n1. y\n\n1. z\n",
    "a fence never closed": "T\n```python\nprint(1)\n\n\nx = '''\n```\nafter\n~~~\nopen\n  a\n\tb\n",
    "empty fences": "```\n```\n\n```js\n\n```\n```py\n",
    "tables": "before\n| a | b |\n|---|:-:|\n| 1 | `x|y` |\n| a \\| b | **2** |\n| c |\n"
    "last\n\n|x|y|\n|-|-|\n",
    "links defined before": "[foo]: http://foo\n\nThen [foo]\n\n- [foo]\n- b\n",
    "html": "<div>\n<b>hi</b>\n</div>\n\n<!-- c -->\ntext <script>x</script>\n",
    "line endings of another system": "# a\r\n\r\n- b\r\n- c\r\n\r\n```\r\nd\r\n```\r\n",
    "setext headings": "Title\n=====\n\nSub\n---\ntext\n***\n***bold***\npara\n***b*** c\n"
    "- i\n---\n- x\n  -\n",
    "emphasis never closed": "**bold never closed\n\n*a **b* c** `code\n\n__x_\n",
    "quotes": "> a\n> b\nlazy\n>\n> - q\n> - r\n>\n>   s\n\n> > deep\n"
    ">\n> | a |\n> |---|\n> | b |\n\nout\n",
    "indented code": "para\n\n    indented\n\n    more\n\nend\n",
    "blocks within items": "# H\n\n1. **A**\n\n   ```py\n   x=1\n   ```\n2. B\n"
    "   | a | b |\n   |---|---|\n   | 1 | 2 |"
    "\n\n***\n\n-\n- x\n\n- - y\n  - z\n1. 1\n\n   2\n10. q\n",
    "escapes": "a \\* b \\# &amp; &#x202e; <http://x.y> https://a.b/c_d_e www.x.org\n",
    "plain text at first": "Twelve,  and\n   a poem\n\n\nof lines.\n\n- and then an item\n",
}
PARTS = (
    "- a", "  - b", "    c", "1. x", "2) y", "10. n", "1986. A", "-", "*", "+ p", "- [ ] t", "- - d",
    "-   w", "- # h2", "- ```", "- | a |", "  |---|", "> q", ">", "> - z", "> > e", ">     c", "```",
    "```py", "~~~", "```|x", "  ```", "  x", "    code", "\tt", "| a | b |", "|---|---|", "| 1 | `2` |",
    "a|b", "-|-", "---", "===", "***", "# h", "## ", "text", "**b", "*i*", "`c", "[l](http://x)", "[l]",
    "<div>", "</div>", "<!-- c", "-->", "<http://z>", "", "  ", "   in", "a  ", "b\\", "&amp;", "漢字",
    "e\u0301", "\\|", "![i](u)", "![", "~~s~~",
)  # fmt: skip
"""Bits of Markdown; a definition of a link is not among them, for that is heeded at the end alone."""
ENDS = ("\n", "\n", "\n", "\n\n", " ", "")
ROUGH = {
    "a row of signs within code": "```|A\n\n-|-\nx",
    "the same within other signs": "~~~|c\n\n-|-\n\n",
    "a row of signs below an item": "-\n- ||\n-|-\n",
    "a head that becomes none": "A\na||\n-|- ||",
}
LATE = """See [foo] and [bar][b].

[foo]: http://foo.example 'T'

Then [foo] again

[b]: http://late
[foo]: http://second
"""


def pieces_of(text: str, seed: int) -> list[str]:
    """Cut a text at random places."""
    rnd, found = random.Random(seed), []
    while text:
        size = rnd.choice((1, 1, 2, 3, 5, 8, 13, 40))
        found.append(text[:size])
        text = text[size:]
    return found


class Page(App[None]):
    """Holds one reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.reply = reply

    def compose(self) -> ComposeResult:
        yield self.reply


def grows_as_the_whole(text: str, seed: int, width: int = 60) -> None:
    """Cut a text at random places: after every piece, the rendering equals that of the whole prefix."""
    growing, signs = IncrementalParser(), False
    laid, at_once = BlockLayout(), BlockLayout()
    laid.resize(width)
    for cut in pieces_of(text, seed):
        before = list(growing.blocks)
        stay = growing.append(cut)
        assert growing.blocks[:stay] == before[:stay], text
        laid.put(stay, growing.blocks[stay:])
        so_far, line = growing.text, growing.text.rfind("\n") + 1
        signs = signs or bool(MARKDOWN_SIGNS.search(so_far))
        if signs and UNDECIDED_LINE.fullmatch(so_far, line):
            so_far = so_far[:line]
        assert growing.blocks == (BlockParser(so_far).blocks if signs else parse_blocks(so_far)), (
            text
        )
    stay = growing.finish(text, parse_blocks(text))
    assert growing.blocks == parse_blocks(text)
    laid.put(stay, growing.blocks[stay:])
    at_once.put(0, parse_blocks(text))
    at_once.resize(width)
    assert (laid.tops, laid.begins, laid.lines) == (at_once.tops, at_once.begins, at_once.lines)
    assert [laid.at(y) for y in range(laid.height)] == [at_once.at(y) for y in range(laid.height)]


@pytest.mark.parametrize("name", TEXTS)
def test_a_streamed_text_always_equals_its_full_rendering(name: str) -> None:
    for seed in range(20):
        grows_as_the_whole(clean(TEXTS[name]), seed)


@pytest.mark.parametrize("name", ROUGH)
def test_earlier_incremental_parsing_errors_stay_fixed(name: str) -> None:
    for seed in range(60):
        grows_as_the_whole(ROUGH[name], seed)


def put_together(seed: int) -> str:
    rnd = random.Random(seed)
    parts = ((rnd.choice(PARTS), rnd.choice(ENDS)) for _ in range(rnd.randint(2, 14)))
    return "".join(part + end for part, end in parts)


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_random_markdown_streams_like_its_full_rendering(start: int) -> None:
    for seed in range(start, start + 100):
        grows_as_the_whole(put_together(seed), seed, width=(5, 20, 60)[seed % 3])


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 17000, 4000))
def test_thousands_of_random_texts_stream_like_their_full_rendering(start: int) -> None:
    for seed in range(start, start + 4000):
        grows_as_the_whole(put_together(seed), seed, width=(5, 20, 60)[seed % 3])


def test_a_link_defined_below_its_use_is_resolved_at_the_end() -> None:
    growing = IncrementalParser()
    for char in LATE:
        growing.append(char)
    assert [look.link for look in growing.blocks[0].looks] == ["http://foo.example"]
    kept = growing.blocks[1]
    assert growing.finish(LATE, parse_blocks(LATE)) == 0
    assert growing.blocks == parse_blocks(LATE)
    assert [look.link for look in growing.blocks[0].looks] == ["http://foo.example", "http://late"]
    assert growing.blocks[1] == kept


@pytest.mark.parametrize("kind", ["items", "numbers", "rows", "lines of code", "paragraphs"])
def test_only_the_last_part_of_a_long_block_is_parsed_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {
        "items": [f"- item **{n}**\n" for n in range(300)],
        "numbers": [f"{n + 1}. item **{n}**\n" for n in range(300)],
        "rows": ["| a | b |\n|---|---|\n", *(f"| row {n} | `x` |\n" for n in range(300))],
        "lines of code": ["```python\n", *(f"x = {n}\n" for n in range(300))],
        "paragraphs": [f"Some *words* {n}.\n\n" for n in range(300)],
    }[kind]
    read: list[int] = []
    original = BlockParser.__init__

    def counted(
        self: BlockParser, text: str, place: object = None, references: object = None
    ) -> None:
        original(self, text, place, references)  # type: ignore[arg-type]
        read.append(sum(map(len, self._lines)))

    monkeypatch.setattr(BlockParser, "__init__", counted)
    growing = IncrementalParser()
    for line in lines:
        before = len(growing.blocks)
        assert growing.append(line) >= before - 1
    assert max(read) < 120
    monkeypatch.undo()
    assert growing.blocks == parse_blocks("".join(lines))


@pytest.mark.parametrize("width", [12, 33, 80])
@pytest.mark.parametrize("name", TEXTS)
def test_incremental_layout_equals_full_layout(name: str, width: int) -> None:
    grows_as_the_whole(clean(TEXTS[name]), 7, width)


@pytest.mark.parametrize("width", [1, 7, 30])
def test_layout_loses_no_words(width: int) -> None:
    text = (
        "a  longword日本語日本語 " * 3
        + "\n\n| a b | 日本 | c |\n|---|---|---|\n| some words | x | yy |\n\n```\na b c d e f g\n```"
    )
    laid = BlockLayout()
    laid.put(0, parse_blocks(text))
    laid.resize(width)
    said = ""
    for y in range(laid.height):
        number, row = laid.at(y)  # type: ignore[misc]
        block: Block = laid.blocks[number]
        said += "".join(block.text[word.start : word.end] for word in row.words)
    for word in ("longword日本語日本語", "日本", "yy", "abcdefg"):
        assert word in "".join(said.split()), said


@pytest.mark.parametrize("name", TEXTS)
async def test_incremental_highlighting_equals_full_highlighting(name: str) -> None:
    text, seen = clean(TEXTS[name]), []
    for reply in (Reply(), Reply(text)):
        app = Page(reply)
        async with app.run_test(size=(40, 40)) as pilot:
            if not reply.text:
                for cut in pieces_of(text, 4):
                    reply.append(cut)
                    await pilot.pause()
                await reply.finish(text)
            await pilot.pause()
            seen.append(look(app))
    assert seen[0] == seen[1]


async def test_streamed_markdown_does_not_move_at_the_end() -> None:
    reply = Reply()
    app = Page(reply)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "…" in shown(app)
        text = "Some **bold** text\nand `code`\n\n- one\n- two"
        for block in pieces_of(text, 3):
            reply.append(block)
        await pilot.pause()
        streamed = shown(app)
        assert [line.rstrip() for line in streamed.splitlines()[:5]] == [
            "Some bold text",
            "and code",
            "",
            "• one",
            "• two",
        ]
        await reply.finish(text)
        await pilot.pause()
        assert shown(app) == streamed


async def test_a_reply_without_markdown_is_shown_unchanged() -> None:
    text = "Twelve.  It's 3 + 4, and [bold]not[/bold] markup.\n\n\n  A verse."
    reply = Reply()
    app = Page(reply)
    async with app.run_test() as pilot:
        for char in text:
            reply.append(char)
        await pilot.pause()
        assert [line.rstrip() for line in shown(app).splitlines()[:4]] == text.split("\n")
        assert [block.kind for block in reply.page.blocks] == ["text"] * 4


async def test_a_long_reply_is_one_widget_and_loses_nothing() -> None:
    reply = Reply()
    app = Page(reply)
    lines = [f"line {number} of many" for number in range(400)]
    async with app.run_test() as pilot:
        for line in lines:
            reply.append(line + "\n")
        await pilot.pause()
        assert reply.page.laid.text.split("\n")[:-1] == lines
        assert list(reply.walk_children()) == [reply.page]
        assert reply.page.size.height == 401


async def test_code_is_highlighted_the_same_regardless_of_chunks() -> None:
    text = (
        "```python\n" + "\n".join(f"def f{n}(x): return 'y'  # {n}" for n in range(160)) + "\n```"
    )

    def colours(reply: Reply) -> list[object]:
        width = reply.page.size.width
        assert width
        return [list(reply.page.render_line(y)) for y in range(160)]

    streamed, whole_one = Reply(), Reply(text)
    seen = []
    for reply in (streamed, whole_one):
        async with Page(reply).run_test() as pilot:
            if reply is streamed:
                for cut in pieces_of(text, 5):
                    reply.append(cut)
                    reply.page.render_line(0)
                    reply.page.render_line(reply.page.laid.height - 1)
                await reply.finish(text)
            await pilot.pause()
            seen.append(colours(reply))
    assert seen[0] == seen[1]
    assert len({segment.style for segment in seen[0][0]}) > 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b]0;x\x07 &#x202e; &#27;[31m **b** <script>alert(1)</script>",
        "![alt \x1b[1m](file:///etc/passwd) [li\u202enk](javascript:alert(1)) `\x9b31m`",
        "```\x1b[31m\n\x1b[2J code\n```\n| a\x07 | b |\n|---|---|\n| \u2066x | [bold]y[/] |",
        "# [@click=app.quit]head[/] \x1b[5m\n- [red]item[/red]\n> quote \u202e",
    ],
)
async def test_no_reply_widget_passes_control_characters_or_markup(hostile: str) -> None:
    reply = Reply()
    app = Page(reply)
    async with app.run_test() as pilot:
        cleaner = StreamCleaner()
        for char in hostile:
            reply.append(cleaner.feed(char))
        reply.append(cleaner.finish())
        await pilot.pause()
        streamed = shown(app)
        await reply.finish(hostile)
        await pilot.pause()
        for screen in (streamed, shown(app)):
            assert not any(char in screen for char in "\x1b\x07\x9b\u202e\u2066")
        for tag in ("<script>", "[bold]", "[@click", "[red]"):
            if tag in hostile:
                assert tag in shown(app)
