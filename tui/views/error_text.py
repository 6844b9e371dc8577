"""An error or notice as a complete sentence."""

from __future__ import annotations

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr


def error_text(error: Exception) -> str:
    """Return a sentence for an error; one that is not a `DiscernError` is named by its class."""
    if isinstance(error, DiscernError):
        return full_sentence(render(error.sentence))
    return tr(
        "Internal error ({kind}: {text}). You can continue the chat.",
        kind=type(error).__name__,
        text=str(error),
    )


def full_sentence(text: str) -> str:
    """Return the text with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
