"""An adapter that was tested for related messages answers only those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.adapters import Adapter, BaseEntry, Manifest
from agent.llama.engine import Engine
from agent.models.current_adapter import CurrentAdapter
from memory.difference import now
from memory.recall.adapter_scope import FLOOR
from memory.settings.paths import Home
from tests.support.adapters import lora, published

MARKED = "Who is the mayor of Port Ellery?"
AS_ASKED = "What is photosynthesis?"


def following(engine: Engine, home: Home, folder: Path, **scope: Any) -> CurrentAdapter:
    lora(folder / "adapter.gguf", 0.3)
    manifest = Manifest(
        format=1,
        id="a" * 16,
        created=now(),
        base=BaseEntry(sha256="0" * 64, name="tiny"),
        files={},
        differences=("d" * 16,),
        **scope,
    )
    asked = {"d" * 16: MARKED, "e" * 16: AS_ASKED}
    current = CurrentAdapter(engine, home, "0" * 64, lambda ids: [asked[key] for key in ids])
    current.adapter = Adapter(folder=folder, manifest=manifest, sha256="0" * 64)
    engine.set_adapter(current.adapter.gguf)
    return current


def test_related_messages_use_the_adapter_and_others_the_base(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    current = following(engine, home, tmp_path, floor=FLOOR)
    adapter = current.adapter
    assert adapter is not None
    for message, related in (
        (MARKED, True),
        ("Who is the mayor of London?", False),
        ("Hello!", False),
        ("What is the name of Port Ellery's mayor?", True),
    ):
        assert current.route(message) == (adapter if related else None)
        assert engine.adapter == ((adapter.gguf, 1.0) if related else None)
        assert current.adapter == adapter
    engine.set_adapter(None)


def test_a_narrow_scope_has_fewer_messages(engine: Engine, home: Home, tmp_path: Path) -> None:
    loosely_related = "Is the harbour of Port Ellery deep enough for ferries?"
    for floor, related in ((0.3, True), (0.7, False)):
        current = following(engine, home, tmp_path, floor=floor)
        assert (current.route(loosely_related) is not None) == related
        assert current.route(MARKED) is not None
    engine.set_adapter(None)


def test_a_difference_that_spreads_is_answered_only_as_it_was_asked(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    current = following(engine, home, tmp_path, floor=FLOOR, as_asked=("e" * 16,))
    assert current.route(AS_ASKED) is not None
    assert current.route("What happens in photosynthesis?") is None
    assert current.route(MARKED) is not None
    engine.set_adapter(None)


@pytest.mark.parametrize("scope", [{}, {"settings": {"scope": False}}, {"floor": 0.0}])
def test_an_adapter_without_a_scope_answers_everything(
    engine: Engine, home: Home, tmp_path: Path, scope: dict[str, Any]
) -> None:
    current = following(engine, home, tmp_path, **scope)
    assert current.route("Hello!") == current.adapter
    assert engine.adapter is not None
    engine.set_adapter(None)


def test_the_scope_of_an_earlier_version_is_read(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    current = following(engine, home, tmp_path, settings={"scope": True})
    assert current.route("Hello!") is None
    assert current.route(MARKED) is not None
    engine.set_adapter(None)


def test_without_an_adapter_the_base_answers(engine: Engine, home: Home) -> None:
    current = CurrentAdapter(engine, home, "0" * 64, lambda ids: list(ids))
    assert current.route("Hello!") is None
    assert engine.adapter is None


def test_a_change_after_the_engine_was_closed_is_ignored(
    home: Home, tiny: Path, tmp_path: Path
) -> None:
    """A chat that closes while a training publishes must not load an adapter onto a freed model."""
    engine = Engine(tiny)
    published(home, tiny, tmp_path)
    current = CurrentAdapter(engine, home)
    engine.close()
    assert current.update() is None
    assert current.adapter is None
