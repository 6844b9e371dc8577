"""An open conversation: the one object that a screen, the command line or a script talks to.

Owns the engine, the memory, the graph and the thread. `say` blocks while the model speaks (run it in
a worker); `stop` may be called from any thread. Adapters are swapped between turns only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

from agent.adapters import Adapter, base_sha256, read_adapter, read_pointer, verify
from agent.chat.checkpoints import Checkpoints, checkpoints, erase_thread
from agent.chat.contrast import Draft, draft
from agent.chat.graph import Dependencies, Event, Finished, build
from agent.chat.history import talk_up_to
from agent.chat.marking import Receipt, forget, last_turn, receipt
from agent.chat.open_thread import OpenThread
from agent.chat.surprise import LOOKED_AT, Suggestion, hint_for, suggest
from agent.forget.residual_copies import Leftovers, leftovers
from agent.langchain.chat_model import DiscernChatModel
from agent.llama.engine import Engine
from agent.llama.generation import Generation
from agent.models.serving import embedder, sampling, served_model
from memory.difference import Difference, Moment, State, Turn
from memory.errors import AdapterError, ModelError
from memory.journal.threads import LAST_THREAD
from memory.memory import Memory
from memory.settings.settings import Home, Settings


class Chat(OpenThread):
    """One open conversation; close it, or use it with `with`."""

    def __init__(
        self, home: Home, settings: Settings, engine: Engine, memory: Memory, graph: Any
    ) -> None:
        super().__init__(home, memory)
        self.settings, self.engine = settings, engine
        self.adapter: Adapter | None = None
        self._graph = graph
        self._stack = ExitStack()
        self._generation: Generation | None = None
        self._stopping = threading.Event()
        self._use_adapter = True
        self._refused: str | None = None
        self._unserved: str | None = None

    @classmethod
    def open(
        cls,
        home: Home,
        settings: Settings,
        *,
        thread: str | None = None,
        new: bool = False,
        use_adapter: bool = True,
        dense: bool | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> Chat:
        """Open the model, the memory and a thread (by default the one last spoken in).

        Raises:
            DiscernError: the home, the settings' model or the journal cannot be used.
        """
        say = on_step or (lambda _text: None)
        with ExitStack() as stack:
            home.prepare()
            say("opening the memory")
            memory = Memory.open(home, settings, dense=dense, embedder=embedder(settings))
            stack.callback(memory.close)
            say("loading the model")
            engine = Engine.open(served_model(settings), settings.model)
            stack.callback(engine.close)
            sha = base_sha256(engine.info.path, home.cache)
            model = DiscernChatModel(
                engine=engine, sampling=sampling(settings, engine), thinking=settings.chat.thinking
            )
            dependencies = Dependencies(
                model=model,
                memory=memory,
                system=settings.chat.system,
                served=f"{engine.info.name}@{sha[:12]}",
                recalling=settings.recall.enabled,
            )
            saver = stack.enter_context(checkpoints(home.checkpoints))
            chat = cls(home, settings, engine, memory, build(dependencies, saver))
            chat.dependencies, chat._base_sha, chat._checkpoints = dependencies, sha, saver
            model.on_generation = chat._watch
            chat._use_adapter = use_adapter
            if new:
                chat.fresh()
            else:
                chat.switch(thread or memory.journal.fact(LAST_THREAD) or "main")
            said = chat.take_adapter()
            chat._unserved = said if chat._refused else None
            chat._stack = stack.pop_all()
        return chat

    dependencies: Dependencies
    """What the graph works with."""
    _base_sha: str
    _checkpoints: Checkpoints

    def close(self) -> None:
        """Free the model and give up the files; calling it again does nothing."""
        self.stop()
        # A reply that somebody stopped reading holds the lock for good; leaving must not wait for it.
        held = self._busy.acquire(timeout=10)
        self._stack.close()
        if held:
            self._busy.release()

    def __enter__(self) -> Chat:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- talking -----------------------------------------------------------------------------

    @property
    def recalling(self) -> bool:
        """Whether past differences are placed into the context."""
        return self.dependencies.recalling

    @recalling.setter
    def recalling(self, value: bool) -> None:
        self.dependencies.recalling = value

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know that kept nobody from opening the chat, a sentence each: an adapter
        that was refused then, and what happened to the file of checkpoints."""
        return tuple(filter(None, (self._refused and self._unserved, self._checkpoints.notice)))

    @property
    def base_sha256(self) -> str:
        """The sha256 of the served model file."""
        return self._base_sha

    def say(self, text: str, *, instead_of: str | None = None) -> Generator[Event]:
        """Ask, and yield what happens: Recalling, then Deltas, then Finished.

        With `instead_of` (a turn's id) the message is asked in that one's place and begins a branch;
        what was said there before stays in the journal. Closing the iterator early stops the reply;
        what was said until then is kept.

        Raises:
            ModelError: the message is empty, or does not fit the context.
            UnknownIdError: `instead_of` is no turn.
            HomeError: the journal cannot keep the turn.
        """
        if not text.strip():
            raise ModelError("the message is empty; write something to ask")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ModelError(
                "the message holds a broken character at position {start}; remove it and ask again",
                start=error.start,
            ) from error
        with self._busy:
            self.journal.require_in_place()  # before the model speaks for nothing
            self._stopping.clear()
            if self.engine.offloaded:
                self.engine.wait(self._stopping.is_set)
                self.take_adapter()  # what was trained meanwhile
            self.follow()
            self.dependencies.serve(self.adapter)
            self.dependencies.after = after = self._after(instead_of)
            talk = talk_up_to(self.journal, after, self.engine)
            self.dependencies.left = talk.left
            said = [(message.role, message.content) for message in talk.messages]
            events = self._graph.stream(
                {"messages": [*said, ("user", text)]},
                {"configurable": {"thread_id": self.thread}},
                stream_mode="custom",
                durability="exit",  # one checkpoint for each turn; the journal has the turn before
            )
            try:
                for event in events:
                    if isinstance(event, Finished):
                        self._stands = self.at = event.turn.id
                        self.journal.set_fact(LAST_THREAD, self.journal.thread_of(self._stands))
                    try:
                        yield event
                    except GeneratorExit:
                        self.stop()  # before LangGraph waits for its node to end
                        raise
            finally:
                self._generation = None
                if after and self.journal.thread_of(after) != self.thread:
                    # Renamed, deleted or forgotten elsewhere meanwhile: nothing of it stays there.
                    erase_thread(self.home.checkpoints, self.thread)

    def _after(self, instead_of: str | None) -> str:
        if instead_of is None:
            return self.follows
        return self.journal.parent(self.journal.turn(instead_of).id)

    def _watch(self, generation: Generation) -> None:
        self._generation = generation
        if self._stopping.is_set():
            generation.cancel()

    def stop(self) -> None:
        """Stop the reply in the making; the part that was said is kept. From any thread."""
        self._stopping.set()  # for a reply that has not begun to be generated yet
        if generation := self._generation:
            generation.cancel()

    # --- marking -----------------------------------------------------------------------------

    def mark(
        self,
        moment: Moment | str,
        *,
        turn: str | None = None,
        kind: str | None = None,
        note: str | None = None,
        missed: str | None = None,
        lost: str | None = None,
        sounds: str | None = None,
        quote: str | None = None,
        quote_at: int | None = None,
    ) -> Receipt:
        """Keep the marked moment of a turn, by default the last that was shown or spoken here.

        Raises:
            MarkError, UnknownIdError: see `Memory.mark`; or there is no reply to mark yet.
        """
        marked = last_turn(self.journal, self.thread, turn or self.at)
        difference = self.memory.mark(
            marked,
            moment,
            kind=kind,
            note=note,
            missed=missed,
            lost=lost,
            sounds=sounds,
            quote=quote,
            quote_at=quote_at,
            system=self.settings.chat.system,
        )
        return Receipt(
            difference, receipt(self.journal, difference, self.settings, engine=self.engine)
        )

    def undo(self, difference: str) -> Difference:
        """Take a mark back; the talk stays. Returns what the mark was."""
        return self.memory.undo(difference)

    def forget(self, difference: str) -> Difference:
        """Forget a difference everywhere, the turn it was marked in too; returns what it was."""
        turn = self.journal.difference(difference).turn
        before = self.journal.parent(turn)
        gone = forget(self.home, self.memory, difference)
        self._stands = self.journal.head(self.thread)
        if self.at == turn and not self.journal.thread_of(turn):
            self.at = before
        return gone

    def left_of(self, difference: Difference) -> Leftovers:
        """Return where a forgotten difference may still be found."""
        return leftovers(self.home, self.journal, difference)

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

    def hint(self, turn: Turn) -> Suggestion | None:
        """Return what the latest turn gave rise to: a moment that may be worth a mark."""
        turns = self.journal.turns(limit=LOOKED_AT)
        marks = self.journal.of_turns([item.id for item in turns])
        return hint_for(turn, suggest(turns, marks), turns)

    def waiting(self) -> int:
        """Return how many differences the next night will learn from that it has not learnt yet."""
        return self.journal.count_differences(State.WAITING, State.FAILING)

    # --- adapters ----------------------------------------------------------------------------

    def take_adapter(self) -> str | None:
        """Serve with the adapter that is current now; a sentence when something changed.

        Call it between turns. A damaged or foreign adapter is refused, said so once, and the one in
        force goes on serving.
        """
        said = self._take_adapter()
        self.dependencies.serve(self.adapter)
        return said

    def _take_adapter(self) -> str | None:
        if not self._use_adapter or self.engine.offloaded:
            return None
        if self.engine.adapter is None:
            self.adapter = None  # it was gone when the model came back
        try:
            wanted = read_pointer(self.home.adapters).current
            if wanted == (self.adapter.id if self.adapter else None):
                self._refused = None
                return None
            if wanted is None:
                self.engine.set_adapter(None)
                self.adapter = None
                return "No adapter any more: the base model speaks alone."
            adapter = read_adapter(self.home.adapters, wanted)
            verify(adapter, self._base_sha)
            self.engine.set_adapter(adapter.gguf, adapter.manifest.scale)
        except AdapterError as error:
            said = str(error)
            if said == self._refused:
                return None
            self._refused = said
            return f"The current adapter was refused: {said}"
        self.adapter, self._refused = adapter, None
        count = len(adapter.manifest.differences)
        return f"Adapter {adapter.id[:8]} is in: trained on {count} difference{'s' * (count != 1)}."
