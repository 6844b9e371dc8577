"""A reply: plain text while it streams, Markdown when it is whole.

Appending to plain text costs little and never re-parses; long replies are laid down in parts, so that
an append lays out the last part only. A reply without any Markdown in it stays plain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.text import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

PART = 2000
_MARKDOWN = re.compile(
    r"[*_`~|<]|^\s{0,3}(#{1,6}\s|>|[-+]\s|\d{1,9}[.)]\s|[-=]{3,})|^(?: {4}|\t)|\]\(|https?://|&\w+;",
    re.MULTILINE,
)


def parser() -> MarkdownIt:
    """Return a Markdown parser for what a model says.

    A line break stays one; HTML and images are shown as the text they are; and since an entity such
    as `&#x202e;` is decoded in parsing, the parsed text passes the gate once more.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("gfm-like", {"html": False}).disable("image")
    markdown.core.ruler.push("discern", _settle)
    return markdown


def _settle(state: StateCore) -> None:
    for token in state.tokens:
        _settle_token(token)


def _settle_token(token: Token) -> None:
    if token.type == "softbreak":
        token.type = "hardbreak"
    token.content = clean(token.content)
    token.info = clean(token.info)
    for name, value in token.attrs.items():
        if isinstance(value, str):
            token.attrs[name] = clean(value)
    for child in token.children or ():
        _settle_token(child)


class Reply(Vertical):
    """The reply of one turn."""

    DEFAULT_CSS = """
    Reply {
        height: auto;
        width: 1fr;
        & > Static { height: auto; }
        & > .-waiting { color: $muted; }
        & > Markdown {
            padding: 0;
            background: transparent;
            & > *:last-child { margin-bottom: 0; }
            & MarkdownBlock:dark > .code_inline { background: $panel; color: $foreground; }
            & MarkdownBlock:light > .code_inline { background: $panel; color: $foreground; }
        }
        & MarkdownFence { background: $surface; color: $foreground; margin: 0 0 1 0; }
        & MarkdownH1, & MarkdownH2, & MarkdownH3 { content-align: left middle; text-style: bold; }
    }
    """

    def __init__(self, text: str | None = None) -> None:
        super().__init__()
        self.text = "" if text is None else clean(text)
        self._last = Static("…" if text is None else "", markup=False, classes="-waiting")
        self._last_text = ""
        self._whole = text is not None

    async def on_mount(self) -> None:
        """Show the reply if it is whole already, else that it is waited for."""
        if self._whole:
            await self._show_whole()
        else:
            await self.mount(self._last)

    async def append(self, text: str) -> None:
        """Add a piece that passed the gate."""
        if not text:
            return
        if not self.text:
            text = text.lstrip("\n")
        self.text += text
        self._last_text += text
        self._last.remove_class("-waiting")
        cut = self._last_text.rfind("\n", 0, PART) if len(self._last_text) > PART else -1
        if cut >= 0:
            self._last.update(Content(self._last_text[:cut]))
            self._last_text = self._last_text[cut + 1 :]
            self._last = Static(markup=False)
            await self.mount(self._last)
        self._last.update(Content(self._last_text))

    async def finish(self, text: str) -> None:
        """Show the reply as it was recorded."""
        self.text = clean(text)
        await self._show_whole()

    async def _show_whole(self) -> None:
        old = list(self.children)
        if _MARKDOWN.search(self.text):
            from textual.widgets import Markdown

            markdown = Markdown(parser_factory=parser, open_links=False)
            markdown.display = False
            await self.mount(markdown)
            await markdown.update(self.text)
            with self.app.batch_update():
                markdown.display = True
                await self.remove_children(old)
        else:
            with self.app.batch_update():
                await self.mount(Static(Content(self.text or "(nothing was said)"), markup=False))
                await self.remove_children(old)
