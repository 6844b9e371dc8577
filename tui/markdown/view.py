"""A widget that draws the blocks of a reply.

Only visible rows are drawn. Text can be selected with the mouse; selections are in lines and columns of
the joined text of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.content import Content, Span
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from tui.markdown.block_layout import BlockLayout
from tui.markdown.blocks import Block, Look
from tui.markdown.highlighting import Highlighter
from tui.markdown.wrapping import Words, WrappedRow, cells

LIT = "underline"
"""The style of a marked part, independent of colour."""


class MarkdownView(Widget):
    """Blocks below each other, at the width of the container."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "page--block",
        "page--code",
        "page--em",
        "page--h1",
        "page--h2",
        "page--h3",
        "page--h4",
        "page--h5",
        "page--h6",
        "page--head",
        "page--link",
        "page--rule",
        "page--s",
        "page--sign",
        "page--strong",
        "page--waiting",
    }
    DEFAULT_CSS = """
    MarkdownView {
        width: 1fr;
        height: auto;
        & > .page--block { background: $surface; }
        & > .page--code { background: $panel; }
        & > .page--em { text-style: italic; }
        & > .page--h1 { text-style: bold; color: $accent; }
        & > .page--h2 { text-style: bold; color: $accent; }
        & > .page--h3 { text-style: bold; color: $markdown-h3-color; }
        & > .page--h4, & > .page--h5, & > .page--h6 { text-style: bold italic; }
        & > .page--head { text-style: bold; }
        & > .page--link { color: $link-color; text-style: underline; }
        & > .page--rule { color: $line; }
        & > .page--s { text-style: strike; }
        & > .page--sign { color: $muted; }
        & > .page--strong { text-style: bold; }
        & > .page--waiting { color: $muted; }
    }
    """

    class LinkClicked(Message):
        """A link was clicked; nothing is opened."""

        def __init__(self, href: str) -> None:
            super().__init__()
            self.href = href

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        super().__init__()
        self.laid = BlockLayout()
        self.laid.put(0, list(blocks))
        self._strips: dict[int, Strip] = {}
        self._drawn_in: Style | None = None
        self._styles_named: dict[str, Style] = {}
        self._highlighters: dict[tuple[int, str], Highlighter] = {}
        self._lit: dict[int, list[tuple[int, int]]] = {}

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks that are shown."""
        return self.laid.blocks

    @property
    def content(self) -> Content:
        """The text that is shown, with the marked parts highlighted."""
        begins = self.laid.begins
        return Content(
            self.laid.text,
            [
                Span(begins[number] + start, begins[number] + end, LIT)
                for number, parts in self._lit.items()
                for start, end in parts
            ],
        )

    def put(self, stay: int, new: Sequence[Block]) -> None:
        """Replace all blocks after the first `stay`."""
        before = self.laid.height
        self._lit = {number: parts for number, parts in self._lit.items() if number < stay}
        row = self.laid.put(stay, new)
        for y in [y for y in self._strips if y >= row]:
            del self._strips[y]
        if self.laid.height != before or not self.laid.width:
            self.refresh(layout=True)
        else:
            self.refresh(Region(0, row, self.laid.width, max(1, before - row)))

    def redraw_code(self) -> None:
        """Redraw visible code, because its colours may depend on later text."""
        if self._highlighters:
            self._strips.clear()
            self.refresh()

    def underline(self, parts: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        """Underline these parts, given by block, and no others."""
        if self._lit or parts:
            self._lit = {number: list(some) for number, some in parts.items()}
            self._strips.clear()
            self.refresh()

    # --- Textual -----------------------------------------------------------------------------

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return the width of the container."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the height of the blocks."""
        if width and self.laid.resize(width):
            self._strips.clear()
        return self.laid.height

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        width = self.content_size.width
        if width and self.laid.resize(width):
            self._strips.clear()
        style = self.visual_style
        if style != self._drawn_in:
            self._strips.clear()
            self._drawn_in = style
        strip = self._strips.get(y)
        if strip is None:
            found = self.laid.at(y)
            if found is None:
                return Strip.blank(width, style.rich_style)
            strip = self._drawn(*found, style, width)
            if self.text_selection is None:
                self._strips[y] = strip
        return strip

    def selection_updated(self, selection: Selection | None) -> None:
        """Redraw the selection."""
        self._strips.clear()
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text."""
        return selection.extract(self.laid.text), "\n"

    def notify_style_update(self) -> None:
        """Redraw after a change of theme."""
        super().notify_style_update()
        self._strips.clear()
        self._styles_named.clear()

    def action_link(self, href: str) -> None:
        """Post that a link was clicked."""
        self.post_message(self.LinkClicked(href))

    # --- drawing -----------------------------------------------------------------------------

    def _named(self, name: str) -> Style:
        if name not in self._styles_named:
            ground = self.get_component_styles(f"page--{name}").background
            found = self.get_visual_style(f"page--{name}", partial=True)  # without its background
            self._styles_named[name] = found + Style(ground) if ground.a else found
        return self._styles_named[name]

    def _drawn(self, number: int, row: WrappedRow, style: Style, width: int) -> Strip:
        block = self.laid.blocks[number]
        signs = style + self._named("rule" if block.kind == "rule" else "sign")
        body = style
        if block.kind == "code" and row.words:
            body = style + self._named("block")
        elif block.kind not in ("text", "row", "rule", "code"):
            body = style + self._named(block.kind)
        segments: list[Segment] = []
        column, line = 0, self.laid.lines[number]
        near = self._place(block, line, row.words[0].start if row.words else 0)
        parts: list[tuple[int, str | Words]] = [*row.signs, *((w.column, w) for w in row.words)]
        for at, part in sorted(parts, key=lambda item: item[0]):
            blank = body if column >= cells(block.rest) else style
            segments += _beside(" " * (at - column), blank, near)
            if isinstance(part, str):
                segments += _beside(part, signs, near) if row.words else _whole(part, signs, near)
                column = at + cells(part)
                continue
            near = self._place(block, line, part.start)
            x, y = near
            for text, look in self._words(number, block, part, body):
                segments.append(Segment(text, look.rich_style_with_offset(x, y)))
                x += len(text)
            near = (x, y)
            column = at + cells(block.text[part.start : part.end])
        if not row.words:
            segments += _whole(" ", style, near)
        return Strip(segments).adjust_cell_length(width, body.rich_style)

    @staticmethod
    def _place(block: Block, line: int, at: int) -> tuple[int, int]:
        """Return line and column in the joined text for a position in a block."""
        return at - (block.text.rfind("\n", 0, at) + 1), line + block.text.count("\n", 0, at)

    def _words(
        self, number: int, block: Block, part: Words, body: Style
    ) -> Iterator[tuple[str, Style]]:
        looks: Sequence[Look] = block.looks
        if block.kind == "code" and block.language:
            looks = self._code_looks(number, block)
        content = Content(
            block.text[part.start : part.end],
            [
                Span(max(look.start, part.start) - part.start, look.end - part.start, style)
                for look, style in ((look, self._style_of(look, block)) for look in looks)
                if look.start < part.end and look.end > part.start
            ],
        )
        for start, end in self._lit.get(number, ()):
            if start < part.end and end > part.start:
                content = content.stylize(LIT, max(0, start - part.start), end - part.start)
        chosen = self._chosen(number, block)
        if chosen is not None and chosen[0] < part.end and chosen[1] > part.start:
            style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            start, end = max(0, chosen[0] - part.start), chosen[1] - part.start
            content = content.stylize(style, start, end)
        for text, look in content.render(body, end=""):
            yield text, body + look

    def _style_of(self, look: Look, block: Block) -> Style:
        if block.kind == "code":
            return Style.parse(look.name)
        style = self._named(look.name)
        return style + Style.from_meta({"@click": f"link({look.link!r})"}) if look.link else style

    def _code_looks(self, number: int, block: Block) -> list[Look]:
        first, lines = self.laid.code_around(number)
        key = block.of, block.language  # the name of the language may still be streaming
        highlighter = self._highlighters.setdefault(key, Highlighter(block.language))
        return highlighter.looks(lines, number - first)

    def _chosen(self, number: int, block: Block) -> tuple[int, int] | None:
        """Return the range of a block's text that is selected."""
        if (selection := self.text_selection) is None:
            return None
        start, end = self.laid.selected(selection)
        begin = self.laid.begins[number]
        return start - begin, end - begin


def _beside(text: str, style: Style, near: tuple[int, int]) -> Iterator[Segment]:
    """Yield decoration; the mouse selects the nearest character of the content."""
    look = style.rich_style_with_offset(*near)
    for char in text:
        yield Segment(char, look)


def _whole(text: str, style: Style, near: tuple[int, int]) -> Iterator[Segment]:
    """Yield a row without content."""
    yield Segment(text, style.rich_style_with_offset(*near))
