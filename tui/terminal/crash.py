"""What is left when the application breaks in a way that nobody foresaw: a sentence, and a file.

The file holds where it broke and nothing that was said or read: no values, no message of the error.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from memory.files.atomic_write import write_whole
from memory.i18n.i18n import tr
from memory.settings.paths import Home

FILE = "crash.txt"


def write_crash_file(home: Home, error: BaseException) -> Path | None:
    """Write where `error` came from into the home's state folder; return the file, None without one."""
    path = home.state / FILE
    frames = "".join(traceback.format_tb(error.__traceback__))
    try:
        write_whole(path, f"{type(error).__name__}\n{frames}")
    except OSError:
        return None
    return path


def origin(error: BaseException) -> tuple[str, str, int]:
    """Return the kind of an error, and the file and the line in which it arose."""
    frame = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    return type(error).__name__, frame.filename if frame else "", (frame and frame.lineno) or 0


def crash_message(home: Home, error: BaseException) -> str:
    """Keep where `error` came from, and return the sentence to leave with."""
    kind = type(error).__name__
    if (path := write_crash_file(home, error)) is None:
        return tr("discern: something broke ({kind}); all that was said is kept.", kind=kind)
    return tr(
        "discern: something broke ({kind}); all that was said is kept. Where it broke stands in "
        "{path}: please send that file along when you report it.",
        kind=kind,
        path=path,
    )
