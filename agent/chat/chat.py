"""An open conversation: what a screen, the command line or a script works with.

    with Chat.open(home, settings) as chat:
        for event in chat.say("Hello"):
            ...
        chat.marks.add(MarkRequest("error", sounds="Good morning."))

`chat.thread` is the open thread, `chat.marks` the marks made in it. `say` blocks while the model
replies, so run it in a worker; `stop` may be called from any thread. The adapter changes only between
turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace

from agent.adapters import Adapter, base_sha256
from agent.chat.checkpoints import Checkpoints, checkpoints, erase_thread
from agent.chat.contrast import Draft, draft
from agent.chat.graph import ChatEvent, Dependencies, Finished, build
from agent.chat.history import history_up_to
from agent.chat.marking.forget import forget
from agent.chat.marking.receipt import Receipt, has_room, receipt
from agent.chat.marking.target_reply import last_turn
from agent.chat.open_thread import OpenThread
from agent.chat.recall_context import Recaller
from agent.chat.surprise import LOOKED_AT, Suggestion, hint_for, suggest
from agent.forget.residual_copies import ResidualCopies, find_residual_copies
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.generation import Generation
from agent.models.current_adapter import CurrentAdapter
from agent.models.served_model import embedder, sampling, served_model
from memory.difference import STANDING, Difference, State, Turn
from memory.errors import ModelError
from memory.journal.journal import Journal
from memory.journal.tables.threads import LAST_THREAD
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings


class Chat:
    """One open conversation; close it, or use it with `with`."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        dependencies: Dependencies,
        checkpoints: Checkpoints,
        *,
        base_sha256: str,
        use_adapter: bool = True,
    ) -> None:
        """Use `Chat.open`."""
        self.home, self.settings = home, settings
        self.dependencies = dependencies
        self.base_sha256 = base_sha256
        """The sha256 of the served model file."""
        self._busy = threading.Lock()
        """Held while a reply or a draft is written."""
        self.thread = OpenThread(home, self.memory, self._busy)
        self.marks = Marks(home, settings, self.memory, self.engine, self.thread)
        self._checkpoints = checkpoints
        self._graph = build(dependencies, checkpoints)
        self._current = CurrentAdapter(
            self.engine, home, base_sha256, self.memory.journal.differences.questions
        )
        self._use_adapter = use_adapter
        self._generation: Generation | None = None
        self._stopping = threading.Event()
        self._resources = ExitStack()
        dependencies.model.on_generation = self._watch
        dependencies.route = self._current.route if use_adapter else None
        changed = self.update_adapter()
        self._refused_at_start = changed if self._current.refusal else None

    @classmethod
    def open(  # noqa: PLR0913 - how a chat opens, each with a default
        cls,
        home: Home,
        settings: Settings,
        *,
        thread: str | None = None,
        new: bool = False,
        use_adapter: bool = True,
        dense: bool | None = None,
        on_step: Callable[[Sentence], None] | None = None,
    ) -> Chat:
        """Open the model, the memory and a thread (by default the one used last).

        Raises:
            DiscernError: the home, the settings' model or the journal cannot be used.
        """
        report = on_step or (lambda _doing: None)
        with ExitStack() as stack:
            home.prepare()
            report(Sentence("opening the journal"))
            memory = Memory.open(home, settings, dense=dense, embedder=embedder(settings))
            stack.callback(memory.close)
            report(Sentence("loading the model"))
            engine = stack.enter_context(Engine.open(served_model(settings), settings.model))
            sha = base_sha256(engine.info.path, home.cache)
            dependencies = Dependencies(
                model=DiscernChatModel(
                    engine=engine,
                    sampling=sampling(settings, engine),
                    thinking=settings.chat.thinking,
                ),
                memory=memory,
                system=settings.chat.system,
                model_name=f"{engine.info.name}@{sha[:12]}",
                recalling=settings.recall.enabled,
            )
            saver = stack.enter_context(checkpoints(home.checkpoints))
            chat = cls(
                home, settings, dependencies, saver, base_sha256=sha, use_adapter=use_adapter
            )
            if new:
                chat.thread.start_new()
            else:
                chat.thread.switch(thread or memory.journal.facts.get(LAST_THREAD) or "main")
            chat._resources = stack.pop_all()
        return chat

    def close(self) -> None:
        """Free the model and close the files; calling it again does nothing."""
        self.stop()
        # An abandoned reply holds the lock forever; closing must not wait for it.
        held = self._busy.acquire(timeout=10)
        self._resources.close()
        if held:
            self._busy.release()

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def memory(self) -> Memory:
        """The memory that the chat recalls from and marks are kept in."""
        return self.dependencies.memory

    @property
    def journal(self) -> Journal:
        """The journal of that memory."""
        return self.memory.journal

    @property
    def engine(self) -> Engine:
        """The engine that replies."""
        return self.dependencies.model.engine

    @property
    def recalling(self) -> bool:
        """Whether past differences are added to the context."""
        return self.dependencies.recalling

    @recalling.setter
    def recalling(self, value: bool) -> None:
        self.dependencies.recalling = value

    @property
    def notices(self) -> tuple[Sentence, ...]:
        """Problems found on opening that did not prevent it, a sentence each.

        A refused adapter, as long as it is refused, and what happened to the checkpoints.
        """
        refused = self._refused_at_start if self._current.refusal else None
        return tuple(filter(None, (refused, self._checkpoints.notice)))

    @property
    def adapter_refused(self) -> bool:
        """Whether the current adapter cannot be used."""
        return self._current.refusal is not None

    # --- replies -----------------------------------------------------------------------------

    def say(self, text: str, *, instead_of: str | None = None) -> Generator[ChatEvent]:
        """Send a message and yield what happens: Recalling, then Deltas, then Finished.

        With `instead_of` (a turn's id) the message replaces that turn's and starts a branch; the old
        one stays in the journal. Closing the iterator early stops the reply and keeps its beginning.

        Raises:
            ModelError: the message is empty, or does not fit the context.
            UnknownIdError: `instead_of` is no turn.
            HomeError: the journal cannot keep the turn.
        """
        if not text.strip():
            raise ModelError("the message is empty; type a message")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ModelError(
                "the message contains an invalid character at position {start}; remove it and ask "
                "again",
                start=error.start,
            ) from error
        with self._busy:
            self.journal.database.require_in_place()  # before generating what could not be stored
            self._stopping.clear()
            if self.engine.unloaded:
                self.engine.wait(self._stopping.is_set)
                self.update_adapter()  # one trained in the meantime
            self.thread.sync()
            self.dependencies.use_adapter(self.adapter)
            self.dependencies.parent = parent = self._parent(instead_of)
            history = history_up_to(self.journal, parent, self.engine)
            self.dependencies.omitted = history.omitted
            earlier = [(message.role, message.content) for message in history.messages]
            events = self._graph.stream(
                {"messages": [*earlier, ("user", text)]},
                {"configurable": {"thread_id": self.thread.name}},
                stream_mode="custom",
                durability="exit",  # one checkpoint per turn; the journal has the turn before it
            )
            try:
                for event in events:
                    if isinstance(event, Finished):
                        self.journal.facts.set(LAST_THREAD, self.thread.advance(event.turn.id))
                    try:
                        yield event
                    except GeneratorExit:
                        self.stop()  # before LangGraph waits for its node to end
                        raise
            finally:
                self._generation = None
                if parent and self.journal.threads.of_turn(parent) != self.thread.name:
                    # Renamed, deleted or forgotten by another process: its checkpoint goes too.
                    erase_thread(self.home.checkpoints, self.thread.name)

    def _parent(self, instead_of: str | None) -> str:
        if instead_of is None:
            return self.thread.next_parent
        return self.journal.turns.parent(self.journal.turns.get(instead_of).id)

    def draft(self, difference: Difference) -> Draft:
        """Let the model draft the three lines of a mark; nothing is kept. `stop` ends it.

        Raises:
            ModelError: the marked message does not fit the context.
        """
        with self._busy:
            self._stopping.clear()
            try:
                return draft(self.engine, difference, on_generation=self._watch)
            finally:
                self._generation = None

    def stop(self) -> None:
        """Stop the current reply and keep its beginning. May be called from any thread."""
        self._stopping.set()  # for a reply whose generation has not started yet
        if generation := self._generation:
            generation.cancel()

    def _watch(self, generation: Generation) -> None:
        self._generation = generation
        if self._stopping.is_set():
            generation.cancel()

    # --- adapters ----------------------------------------------------------------------------

    @property
    def adapter(self) -> Adapter | None:
        """The adapter in use; None for the base alone."""
        return self._current.adapter

    def update_adapter(self) -> Sentence | None:
        """Apply the current adapter; return a sentence when it changed or was refused.

        Call it between turns. See `CurrentAdapter.update`.
        """
        changed = self._current.update() if self._use_adapter else None
        self.dependencies.use_adapter(self.adapter)
        return changed


class Marks:
    """The marks that are made in a chat."""

    def __init__(
        self, home: Home, settings: Settings, memory: Memory, engine: Engine, thread: OpenThread
    ) -> None:
        self._home, self._settings, self._memory = home, settings, memory
        self._engine, self._thread = engine, thread

    def add(self, request: MarkRequest, *, turn: str | None = None) -> Receipt:
        """Mark a turn, by default the one at the thread's position.

        Raises:
            MarkError, UnknownIdError: see `Memory.mark`; or there is no reply to mark yet.
        """
        journal = self._memory.journal
        marked = last_turn(journal, self._thread.name, turn or self._thread.position)
        difference = self._memory.mark(marked, replace(request, system=self._settings.chat.system))
        engine, room = self._engine, True
        if difference.scope in STANDING:
            room = has_room(difference, Recaller.for_engine(self._memory, engine))
        return Receipt(
            difference, receipt(journal, difference, self._settings, engine=engine, room=room)
        )

    def undo(self, difference: str) -> Difference:
        """Remove a mark and keep its turn; return the mark as it was."""
        return self._memory.undo(difference)

    def forget(self, difference: str) -> Difference:
        """Erase a mark everywhere, its turn too; return it as it was. See `forget`."""
        journal = self._memory.journal
        turn = journal.differences.get(difference).turn
        parent = journal.turns.parent(turn)
        forgotten = forget(self._home, self._memory, difference)
        self._thread.leave_forgotten(turn, parent)
        return forgotten

    def residual_copies(self, difference: Difference) -> ResidualCopies:
        """Return where a forgotten difference may still be found."""
        return find_residual_copies(self._home, self._memory.journal, difference)

    def hint(self, turn: Turn) -> Suggestion | None:
        """Return the suggestion to mark a reply that the latest turn leads to, if any."""
        turns = self._memory.journal.turns.latest(limit=LOOKED_AT)
        marks = self._memory.journal.differences.on_turns([item.id for item in turns])
        return hint_for(turn, suggest(turns, marks), turns)

    def waiting(self) -> int:
        """Return how many differences the next night will train on that were not learned yet."""
        return self._memory.journal.differences.count(State.WAITING, State.FAILING)
