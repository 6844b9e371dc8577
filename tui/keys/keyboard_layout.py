"""Keys on a Russian layout: в is at the position of d.

Only the name of the key changes; the character that is typed stays Russian.
"""

from __future__ import annotations

from tui.terminal.textual_patches.dispatch import key_name

_RUSSIAN = "йцукенгшщзхъфывапролджэячсмитьбюё"
_LATIN = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
_KEYS = {
    **dict(zip(_RUSSIAN, map(key_name, _LATIN), strict=True)),
    **dict(zip(_RUSSIAN.upper(), map(key_name, _LATIN.upper()), strict=True)),
}


def latin(key: str) -> str:
    """Return a key's name on a Latin layout: `в` is `d`, `alt+в` is `alt+d`; others are unchanged."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, _KEYS[last]]) if last in _KEYS else key
