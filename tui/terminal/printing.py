"""What the command line prints: the one place from which text reaches the terminal.

All text is cleaned here (`tui/terminal/sanitize.py`): the name of a model, a note or an error's
words may hold escape sequences. Only `Safe` text is printed as it is: colours of ours, and JSON
whose characters are escaped.
"""

from __future__ import annotations

from typing import Any

import click

from tui.terminal.sanitize import clean


class Safe(str):
    """Text that may be printed as it is; joined to other text it is text like any other."""

    __slots__ = ()


def styled(text: str, **style: Any) -> Safe:
    """Return the cleaned text in a style of `click.style`."""
    return Safe(click.style(clean(text), **style))


def echo(*pieces: str, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Print the pieces one after the other, cleaned."""
    text = "".join(piece if isinstance(piece, Safe) else clean(piece) for piece in pieces)
    click.echo(text, err=err, nl=nl, color=color)


def confirm(question: str, *, default: bool | None = False, err: bool = False) -> bool:
    """Ask a question that is answered by yes or no."""
    return click.confirm(clean(question), default=default, err=err)
