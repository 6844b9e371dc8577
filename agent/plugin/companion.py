"""Add Discern's memory to another agent: recall before a reply, record after it, take marks.

`agent/plugin/middleware.py` (create_agent) and `agent/plugin/nodes.py` (a raw graph) are thin layers on
this. The agent keeps its own model and checkpoints. Recalled differences are put into what the model
sees and nowhere else. Calls may come from several threads; one runs at a time.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage

from agent.adapters import Adapter
from agent.chat.marking.diff_syntax import parse_mark
from agent.chat.marking.receipt import receipt
from agent.chat.marking.target_reply import last_turn, terminal_session
from agent.chat.recall_context import Recaller
from agent.models.current_adapter import CurrentAdapter
from agent.models.served_model import embedder
from agent.prompt.prompt import with_recalled
from agent.prompt.reply_parser import without_thought
from memory.difference import Difference, Turn, now
from memory.errors import AdapterError, DiscernError, MarkError, UnknownIdError
from memory.journal.tables.threads import LAST_THREAD
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.recall.hybrid_search import Recalled
from memory.recall.learned_differences import NOTHING_LEARNED
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings

COMMAND = "/diff"
RECEIPT = "discern_receipt"
"""The key in `additional_kwargs` that tells a receipt from a reply of the model."""
_MAX_BLOCKS = 64  # blocks kept, so that each step of an agent's loop sees the same one


def about_tokens(text: str) -> int:
    """Estimate the tokens of a text without the model's tokenizer."""
    return len(text.encode("utf-8", "replace")) // 3 + 1


class Companion:
    """An open memory for an agent; close it, or use it with `with`."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        memory: Memory,
        *,
        count: Callable[[str], int] = about_tokens,
    ) -> None:
        self.home, self.settings, self.memory = home, settings, memory
        self._recaller = Recaller(memory, count)
        self._lock = threading.RLock()
        self._blocks: dict[tuple[str, ...], str] = {}
        self._adapter_id: str | None = None
        self._learned = NOTHING_LEARNED
        self._current: tuple[Any, CurrentAdapter] | None = None

    @classmethod
    def open(
        cls,
        home: Home | None = None,
        *,
        dense: bool | None = None,
        count: Callable[[str], int] = about_tokens,
    ) -> Companion:
        """Open the memory of `home`, by default this user's.

        `dense` overrides the setting `memory.dense`; `count` returns the tokens of a text.

        Raises:
            HomeError, SettingsError: it cannot be opened.
        """
        home = (home or Home.locate()).prepare()
        settings = read_settings(home)
        memory = Memory.open(home, settings, dense=dense, embedder=embedder(settings))
        companion = cls(home, settings, memory, count=count)
        # If it is never closed, the native parts of the index must be freed before the interpreter
        # exits, or the process may end with a segmentation fault.
        weakref.finalize(companion, memory.close)
        return companion

    def close(self) -> None:
        """Close the memory."""
        self.memory.close()

    def __enter__(self) -> Companion:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- before the reply --------------------------------------------------------------------

    def recall(self, text: str, *, earlier: bool = True) -> tuple[str, ...]:
        """Return the ids of the differences relevant to a message, the most relevant first.

        Without `earlier` exchanges, learned questions are left to the adapter (`Learned.continued`).
        """
        if not self.settings.recall.enabled:
            return ()
        with self._lock:
            block, items = self._recaller.recall(text, self._learned.continued(earlier))
            return self._remember(block, items)

    def block(self, ids: Sequence[str]) -> str:
        """Return the text that puts these differences into a prompt; "" for none.

        Differences that were forgotten since are left out. The same ids give the same text for the
        life of this process, so that the start of a prompt stays the same from step to step.
        """
        key = tuple(ids)
        with self._lock:
            if key not in self._blocks:
                found = self.memory.journal.differences.by_ids(key)
                items = [Recalled(item, 1.0, ()) for item in found if not item.superseded_by]
                block, _ = self.memory.render(items, count=self._recaller.count)
                self._remember(block, items, key)
            return self._blocks[key]

    def _remember(
        self, block: str, items: Sequence[Recalled], key: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        key = tuple(item.difference.id for item in items) if key is None else key
        while len(self._blocks) >= _MAX_BLOCKS:
            self._blocks.pop(next(iter(self._blocks)))
        self._blocks[key] = block
        return key

    def placed(self, messages: Sequence[AnyMessage], ids: Sequence[str]) -> list[AnyMessage]:
        """Return the messages for the model, without commands and receipts.

        The differences `ids` are placed before the user's last message. `messages` is not changed.
        """
        seen = [message for message in messages if not is_command_or_receipt(message)]
        block = self.block(ids) if ids else ""
        if block:
            for place in range(len(seen) - 1, -1, -1):
                message = seen[place]
                if isinstance(message, HumanMessage):
                    seen[place] = message.model_copy(update={"content": _before(message, block)})
                    break
        return seen

    def use_current(self, model: Any, messages: Sequence[BaseMessage] = ()) -> Adapter | None:
        """Apply the current adapter to a `DiscernChatModel`; other models are left alone.

        `messages` are those of the request: an adapter that was tested to answer only related messages
        (`Manifest.scoped`) is used if the user's last one is related, otherwise the base is; without
        `messages`, it is always used. Return the adapter in use. One that is damaged or for another
        base is ignored: the adapter in use stays.
        """
        engine = getattr(model, "engine", None)
        if engine is None or not hasattr(engine, "set_adapter"):
            self._learned = NOTHING_LEARNED
            return None
        if self._current is None or self._current[0] is not engine:
            questions = self.memory.journal.differences.questions
            self._current = engine, CurrentAdapter(engine, self.home, questions=questions)
        current = self._current[1]
        try:
            adapter = current.apply()
        except AdapterError:
            return None
        self._learned = adapter.manifest.learned if adapter else NOTHING_LEARNED
        if (asked := last_asked(messages)) is not None:
            adapter = current.route(str(asked.text))
        self._adapter_id = adapter.id if adapter else None
        return adapter

    wear_current = use_current
    """Another name of `use_current`, for programs that were written with it."""

    # --- after the reply ---------------------------------------------------------------------

    def record(
        self,
        thread: str,
        messages: Sequence[BaseMessage],
        ids: Sequence[str] = (),
    ) -> Turn | None:
        """Record the last exchange of `messages` as a turn of `thread`; return None without one.

        A turn has the user's message and the reply, without tool calls in between. An exchange that
        was recorded before is not recorded again.
        """
        asked = last_asked(messages)
        replied = messages[-1] if messages else None
        if asked is None or not isinstance(replied, AIMessage) or replied.tool_calls:
            return None
        if is_command_or_receipt(asked) or is_command_or_receipt(replied):
            return None
        facts = replied.response_metadata
        turn = Turn(
            id=_turn_id(thread, asked, replied),
            thread=thread,
            at=now(),
            asked=str(asked.text),
            replied=without_thought(str(replied.text)).strip(),
            model=str(facts.get("model_name") or "unknown"),
            adapter=self._adapter_id if facts.get("model_provider") == "discern" else None,
            recalled=tuple(ids),
            surprisal=_surprisal(facts),
            prompt_tokens=usage["input_tokens"] if (usage := replied.usage_metadata) else 0,
            asked_surprisal=facts.get("asked_surprisal"),
        )
        with self._lock:
            return self._keep(turn)

    def _keep(self, turn: Turn) -> Turn:
        journal = self.memory.journal
        try:
            return journal.turns.get(turn.id)
        except UnknownIdError:
            before = journal.turns.in_thread(turn.thread, limit=1)
        with journal.transaction():  # one transaction
            journal.turns.add(turn, place=terminal_session())
            journal.facts.set(LAST_THREAD, turn.thread)
            self.memory.note_recalled(turn.recalled)
            if before and turn.asked_surprisal is not None:
                journal.differences.set_next_surprisal(before[0].id, turn.asked_surprisal)
        return turn

    def mark(
        self, thread: str, *, messages: Sequence[BaseMessage] = (), **values: Any
    ) -> Difference:
        """Mark the reply before the user's last message in `messages`, or else the thread's last turn.

        `values` are the fields of `MarkRequest`.

        Raises:
            MarkError: there is nothing to mark, or the mark cannot be kept.
        """
        return self._mark(thread, MarkRequest(**values), messages)

    def _mark(
        self, thread: str, request: MarkRequest, messages: Sequence[BaseMessage]
    ) -> Difference:
        turn = shown_turn(thread, messages)
        with self._lock:
            try:
                marked = last_turn(self.memory.journal, thread, turn)
            except UnknownIdError:
                raise MarkError(
                    "the reply was not saved, so nothing was marked; ask again"
                ) from None
            return self.memory.mark(marked, request)

    def answer(self, thread: str, text: str, messages: Sequence[BaseMessage] = ()) -> str:
        """Execute `/diff …` for the reply that `messages` show; return the receipt or the error."""
        try:
            request = parse_mark(text.strip()[len(COMMAND) :])
            difference = self._mark(thread, request, messages)
        except DiscernError as error:
            return str(error)
        return receipt(self.memory.journal, difference, self.settings)


def is_command(message: BaseMessage | None) -> bool:
    """Whether a message is a `/diff …` command, which is not meant for the model."""
    if not isinstance(message, HumanMessage):
        return False
    return str(message.text).strip().split(maxsplit=1)[:1] == [COMMAND]


def is_command_or_receipt(message: BaseMessage) -> bool:
    """Whether a message is a command or its receipt, which the model does not see."""
    return is_command(message) or bool(message.additional_kwargs.get(RECEIPT))


def receipt_message(text: str) -> AIMessage:
    """Return the message that answers a command."""
    return AIMessage(text, additional_kwargs={RECEIPT: True})


def shown_turn(thread: str, messages: Sequence[BaseMessage]) -> str | None:
    """Return the id of the turn before the user's last message; None if there is none."""
    latest = last_asked(messages)
    end = next((at for at, message in enumerate(messages) if message is latest), len(messages))
    said = [message for message in messages[:end] if not is_command_or_receipt(message)]
    asked = last_asked(said)
    replied = said[-1] if said else None
    if asked is None or not isinstance(replied, AIMessage) or replied.tool_calls:
        return None
    return _turn_id(thread, asked, replied)


def last_asked(messages: Sequence[BaseMessage]) -> HumanMessage | None:
    """Return the user's last message."""
    return next((x for x in reversed(messages) if isinstance(x, HumanMessage)), None)


def has_earlier(messages: Sequence[BaseMessage]) -> bool:
    """Whether there are exchanges before the user's last message."""
    return sum(isinstance(message, HumanMessage) for message in messages) > 1


def _before(message: HumanMessage, block: str) -> str | list[Any]:
    if isinstance(message.content, str):
        return with_recalled(message.content, block)
    return [{"type": "text", "text": f"{block}\n\n"}, *message.content]


def _turn_id(thread: str, asked: BaseMessage, replied: BaseMessage) -> str:
    named = [thread, asked.id or "", replied.id or ""]
    if not replied.id:  # without `add_messages` they have no ids; their text identifies them
        named += [str(asked.text), str(replied.text)]
    return hashlib.sha256("\x00".join(named).encode("utf-8", "replace")).hexdigest()[:16]


def _surprisal(facts: dict[str, Any]) -> tuple[float, ...]:
    """Return the reply's surprisal in nats, also from log-probabilities in OpenAI's format."""
    if own := facts.get("surprisal"):
        return tuple(round(float(value), 4) for value in own)
    try:
        tokens = facts["logprobs"]["content"]
        return tuple(round(-float(token["logprob"]), 4) for token in tokens)
    except (KeyError, TypeError, ValueError):
        return ()
