"""Keeps pasted text from being read as keys.

Textual's parser splits unknown escape sequences into keys, even within a paste: a clipboard could press
Ctrl+Q, or Enter after a command. So each ESC of a paste is replaced before parsing
(`tui/terminal/input_stand_ins.py`) and restored afterwards. The end sequence of a paste within a
clipboard must be filtered by the terminal.

Source: xterm's bracketed paste.
"""

from __future__ import annotations

from tui.terminal.input_stand_ins import replace_escapes, restored

BEGIN, END = "\x1b[200~", "\x1b[201~"


class PasteGate:
    """Replaces the escape characters of pastes in the terminal's input, which arrives in pieces."""

    def __init__(self) -> None:
        self._inside = False
        self._held = ""
        self._seen = ""

    def feed(self, data: str) -> str:
        """Return the input to parse now; what may be part of an end sequence is held back."""
        text, self._held, out = self._held + data, "", ""
        while text:
            if self._inside:
                before, ended, text = text.partition(END)
                if not ended:
                    kept = _partial_end_length(before)
                    before, self._held = before[: len(before) - kept], before[len(before) - kept :]
                out += replace_escapes(before) + ended
                self._inside = not ended
                continue
            # The beginning is never held back, or Esc would be late; `_seen` has what came before.
            at = (self._seen + text).find(BEGIN)
            if at < 0:
                self._seen = (self._seen + text)[1 - len(BEGIN) :]
                return out + text
            cut = at + len(BEGIN) - len(self._seen)
            out, text = out + text[:cut], text[cut:]
            self._inside, self._seen = True, ""
        return out


def _partial_end_length(text: str) -> int:
    """Return how many characters at the end of the text may begin an end sequence."""
    return next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)


def pasted(text: str) -> str:
    """Return a pasted text with its line ends and escape characters restored.

    Terminals send line ends as carriage returns, so original carriage returns are lost.
    """
    return restored(text.replace("\r\n", "\n").replace("\r", "\n"))
