"""What is left when the application breaks in a way that nobody foresaw: a sentence, and a file.

The file holds where it broke and nothing that was said or read: no values, no message of the error.
"""

from __future__ import annotations

import traceback

from memory.home import Home
from memory.language import tr

FILE = "crash.txt"


def crash(home: Home, error: BaseException) -> str:
    """Write where `error` came from into the home's state folder; return the sentence to leave with."""
    path = home.state / FILE
    kind = type(error).__name__
    frames = "".join(traceback.format_tb(error.__traceback__))
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"{kind}\n{frames}", encoding="utf-8")
    except OSError:
        return tr("discern: something broke ({kind}); all that was said is kept.", kind=kind)
    return tr(
        "discern: something broke ({kind}); all that was said is kept. Where it broke stands in "
        "{path}: please send that file along when you report it.",
        kind=kind,
        path=path,
    )
