"""Sending the text of the input: a message or a slash command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.handlers.command_handlers import CommandHandlers
from tui.commands.registry import Command, parse
from tui.terminal.sanitize import one_line


class Submission:
    """Sends messages and runs commands; while the model is loading, only /quit and Help work."""

    def __init__(
        self, context: ChatContext, conversation: Conversation, handlers: CommandHandlers
    ) -> None:
        self._context, self._conversation, self._handlers = context, conversation, handlers
        self._waiting = ""
        """The text that was submitted while the model was loading; it stays in the input."""

    def submit(self, text: str) -> None:
        """Send a message or run a command, as soon as the chat is open."""
        context = self._context
        parsed = parse(text.strip())
        needs_chat = parsed is None or parsed.command is None or parsed.command.name != "quit"
        if not text.strip():
            return
        if context.open_chat is None and needs_chat:
            self._waiting = text
            context.status.change(passing=tr("loading; will be sent when ready…"))
            return
        if parsed is None and self._conversation.pending:
            context.status.say(tr("The reply is still being generated. Press Esc to stop it."))
            return
        self._waiting = ""
        edited = context.entry.editing if parsed is None else None
        context.composer.take()
        if parsed is None:
            context.entry.leave_edit()
            self._conversation.ask(text, instead_of=edited)
        else:
            self.run_command(text.strip())

    def submit_waiting(self) -> None:
        """Send what was submitted while the model was loading, unless it was edited since."""
        if self._waiting and self._waiting == self._context.composer.text:
            self.submit(self._waiting)

    def run_command(self, text: str) -> None:
        """Run a command line in a worker."""
        work: Callable[[], Awaitable[None]] = partial(self._run_command, text)
        self._context.screen.run_worker(work, group="commands")

    async def _run_command(self, text: str) -> None:
        context, parsed = self._context, parse(text)
        assert parsed is not None
        if parsed.command is None:
            name, near = one_line(parsed.name, 30), parsed.nearest
            message = (
                tr("Unknown command /{name}. Did you mean /{near}?", name=name, near=near)
                if near
                else tr("Unknown command /{name}. /help lists all commands.", name=name)
            )
            await context.say(message, "error")
            context.entry.restore(text)
            return
        await context.attempt(self._handlers.find(parsed.command)(parsed.argument))

    def begin_command(self, command: Command) -> None:
        """Put a command into the input; run it at once if it takes no argument."""
        self._context.composer.focus()
        if command.argument:
            self._context.composer.write(f"/{command.name} ")
        elif self._context.open_chat is not None:
            self.run_command(f"/{command.name}")
