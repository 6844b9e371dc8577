"""The exception hierarchy of Discern.

An error carries a `Sentence`: an English template, which is also the key of its translation, and the
values in it. It is one sentence for the user: what went wrong, with which path or value, why, and what
to do next. The command line prints `str(error)` without a traceback and exits with `exit_code`; the
chat renders `error.sentence` in the current language.

    raise ModelError("the model {path} cannot be used: {why}; choose another GGUF", path=path, why=why)
"""

from __future__ import annotations

from typing import Any

from memory.sentence import Sentence, verbatim


class DiscernError(Exception):
    """Base of every error that Discern raises on purpose."""

    exit_code = 2

    def __init__(self, template: str | Sentence, plural: str = "", /, **values: object) -> None:
        """Take the templates and values of a `Sentence`, or a finished sentence."""
        made = Sentence(template, plural, **values) if isinstance(template, str) else template
        super().__init__(str(made))
        self.sentence = made

    @property
    def cause(self) -> Sentence:
        """The part of the sentence that says why: its value named `cause`, else the whole sentence."""
        cause = dict(self.sentence.values).get("cause", self.sentence)
        return cause if isinstance(cause, Sentence) else verbatim(str(cause))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.sentence,), self.__dict__


class SettingsError(DiscernError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class HomeError(DiscernError, OSError):
    """The user's folder cannot be read or written."""


class FileError(DiscernError, ValueError):
    """A file cannot be read: not a regular file, too large, or of another format."""


class ContentError(DiscernError, ValueError):
    """A text has the wrong format: invalid JSON, too deeply nested and the like."""


class MarkError(DiscernError, ValueError):
    """A mark cannot be stored: nothing to mark, an unknown kind, an empty text."""


class ThreadError(DiscernError, ValueError):
    """A thread's name is invalid, or the thread cannot be changed or exported now."""


class ExchangeError(DiscernError, ValueError):
    """A file of differences cannot be imported or exported."""


class UnknownIdError(DiscernError, LookupError):
    """An id matches nothing, or more than one thing."""


class ModelError(DiscernError, ValueError):
    """A model file is missing, broken or of an unsupported architecture."""


class AdapterError(DiscernError, ValueError):
    """An adapter is missing, damaged or made for another base model."""


class TrainingError(DiscernError, RuntimeError):
    """A training run could not start or finish."""


class TrainingBusyError(TrainingError):
    """Another training is in progress; the same run may start after it."""


class CutOffError(TrainingError):
    """A training run was interrupted from outside; the same run may succeed later."""


class SupersededError(CutOffError):
    """A training run ended because its data was removed; the next run leaves it out."""


class NothingToTrainError(DiscernError):
    """There is nothing to train on; not a failure."""

    exit_code = 0


def cause_of(error: Exception) -> Sentence:
    """Return why something failed, for a message that already names the file or the operation."""
    if isinstance(error, DiscernError):
        return error.cause
    if isinstance(error, OSError) and error.strerror:
        return verbatim(error.strerror)
    return verbatim(str(error) or type(error).__name__)
