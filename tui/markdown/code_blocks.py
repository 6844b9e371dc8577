"""What stands in a reply's Markdown: its blocks of code."""

from __future__ import annotations


def code_blocks(text: str) -> list[str]:
    """Return the code blocks of a Markdown text, without their fences, in their order."""
    from tui.markdown.parser import parser

    return [
        token.content.rstrip("\n")
        for token in parser().parse(text)
        if token.type in ("fence", "code_block")
    ]
