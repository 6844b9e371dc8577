"""Keep an engine on the current adapter.

`current.json` in the adapters folder (`agent/adapters.py`) says which adapter that is. An adapter is
verified before it is applied; one that is damaged or was made for another base is refused, and the
adapter in use stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.adapters import Adapter, base_sha256, read_adapter, read_pointer, verify
from agent.llama.engine import Engine
from memory.errors import AdapterError, ModelError
from memory.recall.adapter_scope import Scope
from memory.sentence import Sentence
from memory.settings.paths import Home


class CurrentAdapter:
    """Applies the current adapter to one engine. Call it between replies only."""

    def __init__(
        self,
        engine: Engine,
        home: Home,
        base: str | None = None,
        questions: Callable[[Sequence[str]], Sequence[str]] | None = None,
    ) -> None:
        """Follow the current adapter; `base` is the sha256 of the model file, by default looked up.

        `questions` returns what was asked in the differences with the given ids, for adapters that
        answer only related messages.
        """
        self._engine, self._home, self._base = engine, home, base
        self._questions = questions
        self._scope: tuple[str, Scope] | None = None
        self._aside = False
        """Whether the base alone is in use for a message that is not related to the adapter."""
        self.adapter: Adapter | None = None
        """The adapter in use; None for the base alone."""
        self.refusal: Sentence | None = None
        """Why the current adapter was refused; None when it is in use."""

    def apply(self) -> Adapter | None:
        """Apply the current adapter and return it; one small file is read when nothing changed.

        Raises:
            AdapterError: it is damaged, or made for another base; the adapter in use stays.
        """
        engine, folder = self._engine, self._home.adapters
        identity = read_pointer(folder).current
        if identity is None:
            if engine.adapter is not None:
                engine.set_adapter(None)
            self.adapter = None
            return None
        adapter = self.adapter
        if adapter is None or adapter.id != identity:
            adapter = read_adapter(folder, identity)
        known = self.adapter is not None and self.adapter.id == adapter.id
        if engine.adapter != (adapter.gguf, adapter.manifest.scale) and not (self._aside and known):
            verify(adapter, self._base_sha256())
            engine.set_adapter(adapter.gguf, adapter.manifest.scale)
            self._aside = False
        self.adapter = adapter
        return adapter

    def route(self, message: str) -> Adapter | None:
        """Use the adapter for `message` if it is related to what it was trained on, else the base.

        Return the adapter in use, None for the base. An adapter that was not tested this way answers
        all messages. The KV cache of the other one is kept (`Engine.set_adapter`).
        """
        adapter = self.adapter
        if adapter is None or self._questions is None or not adapter.manifest.scoped:
            return adapter
        if self._scope is None or self._scope[0] != adapter.id:
            manifest = adapter.manifest
            self._scope = (
                adapter.id,
                Scope(
                    self._questions(manifest.differences),
                    manifest.floor,
                    self._questions(manifest.as_asked),
                ),
            )
        self._aside = not self._scope[1].includes(message)
        wanted = None if self._aside else (adapter.gguf, adapter.manifest.scale)
        if self._engine.adapter != wanted:
            self._engine.set_adapter(*(wanted or (None,)), keep_cache=True)
        return None if self._aside else adapter

    def update(self) -> Sentence | None:
        """Apply the current adapter; return a sentence when it changed or was refused.

        The same refusal is reported once. Nothing happens while the model is unloaded or after it was
        closed.
        """
        if self._engine.unloaded:
            return None
        if self._engine.adapter is None and not self._aside:
            self.adapter = None  # it was missing when the model was restored
        before = self.adapter
        try:
            adapter = self.apply()
        except ModelError:
            if self._engine.closed:
                return None
            raise
        except AdapterError as error:
            reported, self.refusal = self.refusal, error.sentence
            # As text: a sentence with NaN among its values does not equal itself.
            if str(self.refusal) == str(reported):
                return None
            return Sentence("The current adapter was not loaded: {said}", said=error)
        self.refusal = None
        if adapter == before:
            return None
        if adapter is None:
            return Sentence("No adapter is in use now; replies come from the base model.")
        count = len(adapter.manifest.differences)
        if adapter.manifest.scoped:
            return Sentence(
                "Adapter {id} is now in use for messages related to what it learned (trained on "
                "{n} difference).",
                "Adapter {id} is now in use for messages related to what it learned (trained on "
                "{n} differences).",
                id=adapter.id[:8],
                n=count,
            )
        return Sentence(
            "Adapter {id} is now in use (trained on {n} difference).",
            "Adapter {id} is now in use (trained on {n} differences).",
            id=adapter.id[:8],
            n=count,
        )

    def _base_sha256(self) -> str:
        if self._base is None:
            self._home.prepare()
            self._base = base_sha256(self._engine.info.path, self._home.cache)
        return self._base
