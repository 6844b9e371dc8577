"""Stand-ins for characters that a text area or the terminal's parser would interpret.

Textual's documents split lines at every Unicode line end and join them with newlines; its parser reads
ESC as the beginning of a key. To keep typed and pasted text unchanged, each such character is replaced
with a lone surrogate, which text from a terminal or file cannot contain, and restored afterwards.
"""

from __future__ import annotations

_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_KEYS = "\x1b\0"


def _stand_in(char: str) -> str:
    return chr(0xDC00 + ord(char) % 0x100)


_LINE_END_STAND_INS = {ord(char): _stand_in(char) for char in _ENDS}
_ESCAPE_STAND_INS = {ord(char): _stand_in(char) for char in _KEYS}
_RESTORED = {ord(_stand_in(char)): char for char in _ENDS + _KEYS}


def replace_line_ends(text: str) -> str:
    """Return the text for a text area, in which only newlines end a line."""
    return text.translate(_LINE_END_STAND_INS)


def replace_escapes(text: str) -> str:
    """Return the text of a paste without characters that begin a key."""
    return text.translate(_ESCAPE_STAND_INS)


def restored(text: str) -> str:
    """Return the text with the original characters."""
    return text.translate(_RESTORED)
