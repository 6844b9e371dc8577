"""What is pasted stays text: an escape character within it must never be read as a key.

Textual's reader of the terminal takes an escape sequence that it does not know apart into keys, within
a paste, too: a clipboard could press Ctrl+Q, or Enter behind a command. So each ESC of a paste is held
as another character (`tui/terminal/escape_stand_ins.py`) before the reader sees it, and given back
behind it. A clipboard that holds the end of a paste itself is the terminal's to refuse.

Source: xterm's bracketed paste.
"""

from __future__ import annotations

from tui.terminal.escape_stand_ins import hold_keys, restored

BEGIN, END = "\x1b[200~", "\x1b[201~"


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


def pasted(text: str) -> str:
    """Return what was pasted.

    Terminals send its line ends as carriage returns, so those that it had itself cannot be told
    from them.
    """
    return restored(text.replace("\r\n", "\n").replace("\r", "\n"))
