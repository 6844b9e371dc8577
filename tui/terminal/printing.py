"""Printing for the command line; nothing else writes text to the terminal.

All text is sanitized (`tui/terminal/sanitize.py`), because a model's name, a note or an error may
contain escape sequences. Only `Safe` text is printed unchanged: our own colours, and JSON with escaped
characters.
"""

from __future__ import annotations

from typing import Any

import click

from tui.terminal.sanitize import clean


class Safe(str):
    """Text that is printed unchanged; concatenation gives ordinary text."""

    __slots__ = ()


def styled(text: str, **style: Any) -> Safe:
    """Return the sanitized text in a style of `click.style`."""
    return Safe(click.style(clean(text), **style))


def echo(*pieces: str, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Print the pieces one after the other, sanitized."""
    text = "".join(piece if isinstance(piece, Safe) else clean(piece) for piece in pieces)
    click.echo(text, err=err, nl=nl, color=color)


def confirm(question: str, *, default: bool | None = False, err: bool = False) -> bool:
    """Ask a yes-or-no question."""
    return click.confirm(clean(question), default=default, err=err)
