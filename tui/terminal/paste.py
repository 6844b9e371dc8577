"""What is pasted stays text: an escape character within it must never be read as a key.

Textual's reader of the terminal takes an escape sequence that it does not know apart into keys, within
a paste, too: a clipboard could press Ctrl+Q, or Enter behind a command. So each ESC of a paste is held
as another character (`tui/terminal/escape_stand_ins.py`) before the reader sees it, and given back
behind it. A clipboard that holds the end of a paste itself is the terminal's to refuse.

Source: xterm's bracketed paste.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.events import Key
from textual.message import Message

from tui.terminal.escape_stand_ins import given_back, hold_keys

BEGIN, END = "\x1b[200~", "\x1b[201~"
ALT = "\x1b"
_INTRODUCERS = frozenset("[OPX]^_")
"""What may come behind an ESC that begins a sequence (ECMA-48); anything else was pressed with Alt."""


class PasteGate:
    """What the terminal sends, piece by piece, with the pastes in it made harmless."""

    def __init__(self) -> None:
        self._inside = False
        self._held = ""
        self._seen = ""

    def feed(self, data: str) -> str:
        """Return what may be read now; within a paste what may be half its end waits for the rest."""
        text, self._held, out = self._held + data, "", ""
        while text:
            if self._inside:
                before, ended, text = text.partition(END)
                if not ended:
                    kept = _half(before)
                    before, self._held = before[: len(before) - kept], before[len(before) - kept :]
                out += hold_keys(before) + ended
                self._inside = not ended
                continue
            # The beginning is never held back, or Esc would be late: it is known by what came before.
            at = (self._seen + text).find(BEGIN)
            if at < 0:
                self._seen = (self._seen + text)[1 - len(BEGIN) :]
                return out + text
            cut = at + len(BEGIN) - len(self._seen)
            out, text = out + text[:cut], text[cut:]
            self._inside, self._seen = True, ""
        return out


def _half(text: str) -> int:
    """How many characters at the end of the text may begin the end of a paste."""
    return next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)


class GatedParser(XTermParser):
    """Textual's reader of the terminal, behind the gate.

    It reports at once that a key was pressed with Alt. Textual waits for a pause behind it, and
    without one reads Alt+D as "^" and "d", and ESC CR, which tmux and others send for Alt+Enter, as
    Esc and Enter.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._gate = PasteGate()

    def feed(self, data: str) -> Iterable[Message]:
        """Yield what the terminal said; no data at all is its end."""
        text = self._gate.feed(data)
        return super().feed(text) if text or not data else ()

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        known = list(super()._sequence_to_key_events(sequence, alt))
        if known or len(sequence) != 2 or sequence[0] != ALT or sequence[1] in _INTRODUCERS:
            return known
        return [
            key if key.key.startswith("alt+") else Key(f"alt+{key.key}", None)
            for key in super()._sequence_to_key_events(sequence[1], alt=True)
        ]


def pasted(text: str) -> str:
    """Return what was pasted.

    Terminals send its line ends as carriage returns, so those that it had itself cannot be told
    from them.
    """
    return given_back(text.replace("\r\n", "\n").replace("\r", "\n"))


def gate_pastes(driver: type[Driver]) -> None:
    """Have a driver of Textual read through the gate: it takes the reader that its module names."""
    for base in driver.__mro__:
        module = sys.modules[base.__module__]
        if getattr(module, "XTermParser", None) is XTermParser and module.__name__ != __name__:
            vars(module)["XTermParser"] = GatedParser
