"""All command handlers of a chat screen, one per subject.

`tui/commands/registry.py` names them as `subject.method`; a test checks that both match.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.handlers.adapters import AdapterHandler
from tui.chat.handlers.application import ApplicationHandler
from tui.chat.handlers.compare import CompareHandler
from tui.chat.handlers.marks import MarkHandler
from tui.chat.handlers.memory import MemoryHandler
from tui.chat.handlers.messages import MessageHandler
from tui.chat.handlers.recall import RecallHandler
from tui.chat.handlers.threads import ThreadHandler
from tui.chat.handlers.training import TrainingHandler
from tui.chat.thread_view import ThreadView
from tui.chat.training.controller import TrainingController
from tui.commands.registry import Command

_CommandHandler = Callable[[str], Awaitable[None]]
"""Runs a command with its argument."""


@dataclass(frozen=True, slots=True)
class CommandHandlers:
    """One handler per subject; each command is handled by one of their methods."""

    adapters: AdapterHandler
    application: ApplicationHandler
    compare: CompareHandler
    marks: MarkHandler
    memory: MemoryHandler
    messages: MessageHandler
    recall: RecallHandler
    threads: ThreadHandler
    training: TrainingHandler

    def find(self, command: Command) -> _CommandHandler:
        """Return the method that a command of the registry names."""
        subject, _, method = command.handler.partition(".")
        handler: _CommandHandler = getattr(getattr(self, subject), method)
        return handler


def command_handlers(
    context: ChatContext,
    thread: ThreadView,
    conversation: Conversation,
    training: TrainingController,
    *,
    begin: Callable[[Command], None],
    leave: Callable[[], None],
) -> CommandHandlers:
    """Build the handlers; `begin` starts a command chosen in Help, `leave` ends the application."""
    marks = MarkHandler(context, thread, conversation)
    threads = ThreadHandler(context, thread)
    memory = MemoryHandler(context, thread, marks, threads)
    return CommandHandlers(
        adapters=AdapterHandler(context, conversation),
        application=ApplicationHandler(context, begin, leave),
        compare=CompareHandler(context, conversation),
        marks=marks,
        memory=memory,
        messages=MessageHandler(context, conversation),
        recall=RecallHandler(context, thread, memory),
        threads=threads,
        training=TrainingHandler(context, training),
    )
