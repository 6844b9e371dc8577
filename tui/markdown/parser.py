"""The Markdown parser for model output, and inline tokens as styled text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tui.markdown.blocks import Look
from tui.terminal.sanitize import clean

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

MARKDOWN_SIGNS = re.compile(
    r"[*_`~|<]|^\s{0,3}(#{1,6}\s|>|[-+]\s|\d{1,9}[.)]\s|[-=]{3,})|^(?: {4}|\t)|\]\(|https?://|&#?\w+;"
    r"|^\s{0,3}\[[^\]\n]+\]:|\\[!-/:-@\[-`{-~]",
    re.MULTILINE,
)
"""Matches text that may contain Markdown."""
CONTINUES = "continues"
"""Key of the parser's environment, set for a text that begins within a list or code block."""
_SPACE = re.compile(r"\s+")
_OPENED = {"em_open": "em", "strong_open": "strong", "s_open": "s", "link_open": "link"}


def parser() -> MarkdownIt:
    """Return a Markdown parser for model output.

    Line breaks are kept; HTML and images are shown as text. The parsed text is sanitized again, because
    the parser decodes entities such as `&#x202e;`.
    """
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("gfm-like", {"html": False}).disable("image")
    markdown.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    markdown.core.ruler.push("discern", _normalize)
    return markdown


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse tables before lists and code, except on a first line that continues one of these."""
    from markdown_it.rules_block import table

    taken = start == 0 and state.level == 0 and state.env.get(CONTINUES)
    return not taken and table(state, start, end, silent)


def _normalize(state: StateCore) -> None:
    for token in state.tokens:
        _normalize_token(token)


def _normalize_token(token: Token) -> None:
    if token.type == "softbreak":
        token.type = "hardbreak"
    token.content = clean(token.content)
    token.info = clean(token.info)
    for name, value in token.attrs.items():
        if isinstance(value, str):
            token.attrs[name] = clean(value)
    for child in token.children or ():
        _normalize_token(child)


def words(inline: Token) -> tuple[str, tuple[Look, ...]]:
    """Return the text of an inline token and its styles."""
    parts: list[str] = []
    looks: list[Look] = []
    opened: list[tuple[str, str, int]] = []
    length = 0
    for token in inline.children or ():
        text = ""
        if token.type == "text":
            text = _SPACE.sub(" ", token.content)
        elif token.type == "hardbreak":
            text = "\n"
        elif token.type == "code_inline":
            text = _SPACE.sub(" ", token.content)
            looks.append(Look(length, length + len(text), "code"))
        elif token.type in _OPENED:
            opened.append((_OPENED[token.type], str(token.attrs.get("href", "")), length))
        elif token.type.endswith("_close") and opened:
            name, link, start = opened.pop()
            looks.append(Look(start, length, name, link))
        parts.append(text)
        length += len(text)
    return "".join(parts), tuple(looks)


def code_blocks(text: str) -> list[str]:
    """Return the code blocks of a Markdown text in order, without their fences."""
    return [
        token.content.rstrip("\n")
        for token in parser().parse(text)
        if token.type in ("fence", "code_block")
    ]
