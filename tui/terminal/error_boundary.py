"""A handler that breaks in a way that nobody foresaw ends neither the chat nor what is written in it.

Textual ends the application at the first error that a handler of a message lets through. Here that
error is told and the widget goes on with its next message. While a widget is made it is Textual's
still: what lacks a part of itself cannot go on.
"""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.message_pump import MessagePump

_MAKING = (events.Load, events.Compose, events.Mount)


def steady(
    pump: MessagePump,
    told: Callable[[Exception], None],
    dispatched: Callable[[MessagePump, Message], None] = lambda pump, message: None,
) -> None:
    """Have what a handler of `pump` lets through told, in the place of ending the application.

    `dispatched` is called after each message that `pump` dealt with.
    """
    dispatch = pump._dispatch_message

    async def steadily(message: Message) -> None:
        try:
            await dispatch(message)
        except Exception as error:
            if isinstance(message, _MAKING):
                raise
            told(error)
        finally:
            dispatched(pump, message)

    pump._dispatch_message = steadily  # type: ignore[method-assign]
