"""The error tree of Discern.

Each message is one sentence for a person: what went wrong, with which path or value, why, and what
to do next. The command line prints it without a traceback and exits with `exit_code`.
"""

from __future__ import annotations


class DiscernError(Exception):
    """Root of every error that Discern raises on purpose."""

    exit_code = 2


class SettingsError(DiscernError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class HomeError(DiscernError, OSError):
    """The user's folder cannot be read or written."""


class FileError(DiscernError, ValueError):
    """A file that cannot be read: no regular one, too large, or not what it should hold."""

    def __init__(self, sentence: str, cause: str) -> None:
        """`cause` is the part of the sentence that says why."""
        super().__init__(sentence)
        self.cause = cause


class MarkError(DiscernError, ValueError):
    """A mark that cannot be kept: nothing to mark, an unknown kind, an empty text."""


class ThreadError(DiscernError, ValueError):
    """A name that no thread can have, or a thread that cannot be changed or written out now."""


class ExchangeError(DiscernError, ValueError):
    """A file of differences that cannot be read in or written out."""


class UnknownIdError(DiscernError, LookupError):
    """An id that names nothing (or more than one thing)."""


class ModelError(DiscernError, ValueError):
    """A model file that is missing, broken or of an architecture that is not served."""


class AdapterError(DiscernError, ValueError):
    """An adapter that is missing, damaged or made for another base."""


class TrainingError(DiscernError, RuntimeError):
    """A training run that could not start or finish."""


class CutOffError(TrainingError):
    """A training run that something from outside cut off; the same one may well succeed again."""


class SupersededError(CutOffError):
    """A training that ended because what it was made of was taken away; the next one goes without."""


class NothingToTrainError(DiscernError):
    """There is no confirmed difference to learn from; not a failure."""

    exit_code = 0
