"""Textual's message dispatch: errors in handlers, which widget handles a key, and the names of keys."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.app import App
from textual.events import Key
from textual.keys import _character_to_key
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget

_CREATING = (events.Load, events.Compose, events.Mount)


def survive_errors(
    pump: MessagePump,
    on_error: Callable[[Exception], None],
    on_dispatched: Callable[[MessagePump, Message], None] = lambda pump, message: None,
) -> None:
    """Call `on_error` with an error that a handler of `pump` raises, and keep the application running.

    Textual would exit at the first error. It still does while a widget is created, because a widget
    without some of its parts cannot work. `on_dispatched` is called after each message, even a failed
    one.
    """
    dispatch = pump._dispatch_message

    async def dispatch_safely(message: Message) -> None:
        try:
            await dispatch(message)
        except Exception as error:
            if isinstance(message, _CREATING):
                raise
            on_error(error)
        finally:
            on_dispatched(pump, message)

    pump._dispatch_message = dispatch_safely  # type: ignore[method-assign]


def act_on_keys_at_once(field: Widget) -> None:
    """Let a field handle the keys bound in it immediately.

    In Textual they first bubble up to the application.
    """
    handle = field.handle_key

    async def handle_key(event: Key) -> bool:
        for binding in field._bindings.key_to_bindings.get(event.key, ()):
            if not binding.priority and await field.app.run_action(binding.action, field):
                event.stop()
                return True
        return await handle(event)

    field.handle_key = handle_key  # type: ignore[method-assign]


def bound_in(widget: Widget, key: str) -> bool:
    """Return whether a key is bound in the widget itself."""
    return key in widget._bindings.key_to_bindings


def has_priority(app: App[int], key: str) -> bool:
    """Return whether a key is bound with priority, so that no widget gets it."""
    return any(
        binding.priority
        for _place, bindings in app.screen._binding_chain
        for binding in bindings.key_to_bindings.get(key, ())
    )


def bubbles(pump: MessagePump, message: Message) -> bool:
    """Return whether a message that `pump` handled went on to its parent."""
    parent = pump._parent
    goes_up = message.bubble and parent is not None and not message._stop_propagation
    return goes_up and pump.is_parent_active and pump.is_attached


def is_closed(pump: MessagePump) -> bool:
    """Return whether a widget or screen handles no more messages."""
    return pump._closing or pump._closed


def key_name(character: str) -> str:
    """Return the key of a character: `slash` for `/`, `d` for `d`."""
    return _character_to_key(character)
