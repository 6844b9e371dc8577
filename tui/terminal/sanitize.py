"""Sanitizing of untrusted text before it is shown; stored text is unchanged.

Text of the model, the memory and files may contain anything. Sanitized text has no escape sequences, no
control characters except newline and tab, no invisible characters and no bidirectional controls. Markup
is not handled here: callers turn it off.

`clean` takes a complete text, `StreamCleaner` one that arrives in pieces; the result is the same. An
unterminated sequence removes at most `LONGEST_SEQUENCE` characters and no newline, so it cannot hide
the rest of a reply.

Source of the sequences: ECMA-48, sections 5.4 (CSI) and 5.6 (strings).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory.i18n.interface_language import trn

LONGEST_SEQUENCE = 1024
ELLIPSIS = "…"

_CSI = r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,16}"
_STRING = rf"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{{0,{LONGEST_SEQUENCE}}}"
_SHORT = r"\x1b[ -/]{0,16}"

# Control and invisible characters: C0 except tab and newline, DEL, C1, soft hyphen, fillers, zero-width
# and bidi controls, lone surrogates, variation selectors beyond the basic ones, tags. The joiners
# U+200C and U+200D are kept: Persian, Hindi and composed emoji need them.
_UNSEEN = (
    "\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
UNSAFE = re.compile(f"[\x1b\n\u2028\u2029{_UNSEEN}]")
"""Characters that must not occur in a drawn line."""
_SUSPECT = re.compile(f"[\x1b\u2028\u2029{_UNSEEN}]")
_REMOVED = re.compile(
    rf"{_CSI}(?P<csi>[@-~])?"
    rf"|{_STRING}(?P<string>\x07|\x9c|\x1b\\)?"
    rf"|{_SHORT}(?P<short>[0-~])?"
    rf"|(?P<line>[\u2028\u2029])"
    rf"|(?P<unseen>[{_UNSEEN}])"
)


def clean(text: str) -> str:
    """Return `text` without control sequences and invisible characters."""
    if not _SUSPECT.search(text):
        return text
    return _REMOVED.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    return "\n" if match["line"] else ""


class StreamCleaner:
    """`clean` for text that arrives in pieces; an incomplete sequence is held back."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Add a piece; return what can be shown."""
        text = self._held + piece
        self._held = ""
        if not _SUSPECT.search(text):
            return text
        for match in _REMOVED.finditer(text):
            if match.lastgroup is None and _may_continue(text, match.end()):
                self._held = text[match.start() :]
                text = text[: match.start()]
                break
        return _REMOVED.sub(_replacement, text)

    def finish(self) -> str:
        """End the stream; return what was held back."""
        held, self._held = self._held, ""
        return clean(held)


def _may_continue(text: str, end: int) -> bool:
    """Return whether a later piece may complete a sequence (a final ESC may begin its end)."""
    return end == len(text) or text[end:] == "\x1b"


def padded(text: str, width: int) -> str:
    """Return the text padded to `width` columns; a longer one is unchanged."""
    from rich.cells import cell_len

    return text + " " * (width - cell_len(text))


def labels_width(names: Iterable[str]) -> int:
    """Return the width of a column of labels: two blanks after the longest, at least 8."""
    from rich.cells import cell_len

    return max(8, *(cell_len(name) + 2 for name in names))


def turns_column(turns: int) -> str:
    """Return "12 turns" as a column, numbers and words aligned."""
    from rich.cells import cell_len

    said = [trn("{n} turn", "{n} turns", count).partition(" ") for count in (turns, 1, 2, 5)]
    number, _, word = said[0]
    return f"{number:>4} {padded(word, max(cell_len(noun) for _, _, noun in said))}"


def one_line(text: str, width: int = 0) -> str:
    """Return the text sanitized, on one line and cut to `width` columns (0: uncut)."""
    line = " ".join(clean(text[: 40 * width] if width else text).split())
    if not width:
        return line
    from rich.cells import cell_len, set_cell_size

    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(0, width - 1)).rstrip() + ELLIPSIS
