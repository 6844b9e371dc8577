"""Where a person speaks: the session of a terminal, by which a mark finds its reply."""

from __future__ import annotations

import hashlib
import os
import platform


def here() -> str:
    """Return a name for the session that this process belongs to, the same for all its processes.

    A tab of a terminal, a pane of tmux and a tab of the browser are sessions of their own. It says
    nothing of the machine: a hash, kept with each turn.
    """
    session = os.getsid(0) if hasattr(os, "getsid") else os.getppid()
    return hashlib.sha256(f"{platform.node()}:{session}".encode()).hexdigest()[:16]
