"""The wish to end a run, and whether it is meant for good."""

from __future__ import annotations

import threading


class Cancel(threading.Event):
    """Ends a night. `set` calls it off for this date, `leave` leaves it to be taken up again."""

    leaving = False

    def leave(self) -> None:
        """The process goes away; the night is not over."""
        self.leaving = True
        self.set()

    def clear(self) -> None:
        """Make ready for another night."""
        self.leaving = False
        super().clear()
