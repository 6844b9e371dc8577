"""Keeps pasted text from being read as keys.

Textual's parser splits an escape sequence that it does not know into keys, within a paste too: a
clipboard could press Ctrl+Q, or Enter behind a command. So each ESC of a paste is replaced before
parsing (`tui/terminal/escape_stand_ins.py`) and restored afterwards. A clipboard that contains the end
of a paste itself is for the terminal to refuse.

Source: xterm's bracketed paste.
"""

from __future__ import annotations

from tui.terminal.escape_stand_ins import replace_escapes, restored

BEGIN, END = "\x1b[200~", "\x1b[201~"


class PasteGate:
    """Makes pastes harmless in what the terminal sends, piece by piece."""

    def __init__(self) -> None:
        self._inside = False
        self._held = ""
        self._seen = ""

    def feed(self, data: str) -> str:
        """Return what may be parsed now; what may be half the end of a paste waits."""
        text, self._held, out = self._held + data, "", ""
        while text:
            if self._inside:
                before, ended, text = text.partition(END)
                if not ended:
                    kept = _half(before)
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


def _half(text: str) -> int:
    """Return how many characters at the end of the text may begin the end of a paste."""
    return next((n for n in range(len(END) - 1, 0, -1) if text.endswith(END[:n])), 0)


def pasted(text: str) -> str:
    """Return a pasted text with its line ends and escape characters restored.

    Terminals send line ends as carriage returns, so those that the text had itself are lost.
    """
    return restored(text.replace("\r\n", "\n").replace("\r", "\n"))
