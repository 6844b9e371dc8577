"""Keys pressed while the keyboard writes Russian: в is the key that d stands on.

Only which key it was is told anew; the letter itself stays, so that what is written stays Russian.
"""

from __future__ import annotations

from tui.terminal.textual_patches.keys import key_name

_RUSSIAN = "йцукенгшщзхъфывапролджэячсмитьбюё"
_LATIN = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
_KEYS = {
    **dict(zip(_RUSSIAN, map(key_name, _LATIN), strict=True)),
    **dict(zip(_RUSSIAN.upper(), map(key_name, _LATIN.upper()), strict=True)),
}


def latin(key: str) -> str:
    """Return the key's name on a Latin keyboard: `в` is `d`, `alt+в` is `alt+d`; others as they are."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, _KEYS[last]]) if last in _KEYS else key
