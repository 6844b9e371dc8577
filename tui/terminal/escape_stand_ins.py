"""Characters that an editor or the reader of the terminal would act on, held as others meanwhile.

Textual's documents break lines at every character that Unicode calls a line end and join them with one
of their own; its reader of the terminal takes ESC for the beginning of a key. So that what was written
and pasted comes back unchanged, such a character is held as a lone surrogate, which no text that came
from a terminal or a file can contain.
"""

from __future__ import annotations

_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_KEYS = "\x1b\0"


def _hold(char: str) -> str:
    return chr(0xDC00 + ord(char) % 0x100)


_HELD_ENDS = {ord(char): _hold(char) for char in _ENDS}
_HELD_KEYS = {ord(char): _hold(char) for char in _KEYS}
_GIVEN_BACK = {ord(_hold(char)): char for char in _ENDS + _KEYS}


def hold_line_ends(text: str) -> str:
    r"""Return a text for an editor: of all line ends, `\n` alone is one there."""
    return text.translate(_HELD_ENDS)


def hold_keys(text: str) -> str:
    """Return the text of a paste for the reader of the terminal: nothing in it begins a key."""
    return text.translate(_HELD_KEYS)


def restored(text: str) -> str:
    """Return the text with all that is held in it."""
    return text.translate(_GIVEN_BACK)
