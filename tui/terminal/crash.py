"""The message and the crash file after an unexpected error.

The file contains only the places of the traceback: values and the error's message could quote a chat.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from memory.files.atomic_write import write_whole
from memory.i18n.interface_language import tr
from memory.settings.paths import Home

CRASH_FILE = "crash.txt"


def write_crash_file(home: Home, error: BaseException) -> Path | None:
    """Write the places of the traceback into the state folder; return the file, None on failure."""
    path = home.state / CRASH_FILE
    frames = "".join(traceback.format_tb(error.__traceback__))
    try:
        write_whole(path, f"{type(error).__name__}\n{frames}")
    except OSError:
        return None
    return path


def origin(error: BaseException) -> tuple[str, str, int]:
    """Return the class of an error, and the file and line where it was raised."""
    frame = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    return type(error).__name__, frame.filename if frame else "", (frame and frame.lineno) or 0


def crash_message(home: Home, error: BaseException) -> str:
    """Write the crash file and return the message to exit with."""
    kind = type(error).__name__
    if (path := write_crash_file(home, error)) is None:
        return tr("discern: internal error ({kind}). Your conversation is saved.", kind=kind)
    return tr(
        "discern: internal error ({kind}). Your conversation is saved. Details are in {path}; "
        "attach that file if you report the error.",
        kind=kind,
        path=path,
    )
