"""Publishing is atomic, and a rollback only changes the pointer."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from agent.adapters import BaseEntry, find_adapter, list_adapters, read_pointer, verify
from memory.errors import AdapterError, HomeError, NothingToTrainError
from memory.settings.paths import Home
from trainer.adapters import publish
from trainer.adapters.adapter_staleness import serving

BASE = BaseEntry(sha256="b" * 64, name="base.gguf")


def candidate(folder: Path, mark: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in publish.FILES:
        (folder / name).write_text(f"{name} {mark}")
    return folder


def put(home: Home, tmp_path: Path, mark: str) -> str:
    folder = candidate(tmp_path / mark, mark)
    return publish.publish(
        home, publish.PublishRequest(folder, BASE, scale=0.5, fingerprints={"d": mark})
    ).id


def test_a_published_adapter_is_verified_and_can_be_used(home: Home, tmp_path: Path) -> None:
    identity = put(home, tmp_path, "one")
    adapter = find_adapter(home.adapters, identity[:6])
    verify(adapter, BASE.sha256)
    assert adapter.manifest.scale == 0.5
    assert len(identity) == 16
    assert read_pointer(home.adapters).current == identity


def test_repeated_rollbacks_end_at_the_base(home: Home, tmp_path: Path) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    assert read_pointer(home.adapters).current == two
    assert publish.rollback(home) == one
    assert publish.rollback(home) is None
    with pytest.raises(AdapterError, match="no earlier adapter to return to"):
        publish.rollback(home)
    assert len(list_adapters(home.adapters)) == 2


def test_rollback_skips_a_deleted_adapter(home: Home, tmp_path: Path) -> None:
    one, two, _three = (put(home, tmp_path, mark) for mark in ("one", "two", "three"))
    shutil.rmtree(home.adapters / two)
    assert publish.rollback(home) == one


def test_a_damaged_adapter_is_not_selected(home: Home, tmp_path: Path) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    (home.adapters / one / "adapter.gguf").write_text("other")
    with pytest.raises(AdapterError, match="has changed since it was published"):
        publish.select(home, one)
    assert read_pointer(home.adapters).current == two
    publish.select(home, None)
    assert read_pointer(home.adapters).current is None


def test_a_damaged_pointer_is_repaired_by_the_next_selection(home: Home, tmp_path: Path) -> None:
    put(home, tmp_path, "one")
    (home.adapters / "current.json").write_text("{")
    publish.select(home, None)
    assert read_pointer(home.adapters).current is None


def test_a_full_disk_leaves_the_old_adapter_current(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = put(home, tmp_path, "one")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(HomeError, match="free up space"):
        put(home, tmp_path, "two")
    assert read_pointer(home.adapters).current == one


def test_an_incomplete_candidate_is_refused(home: Home, tmp_path: Path) -> None:
    folder = candidate(tmp_path / "one", "one")
    (folder / "adapter.gguf").unlink()
    with pytest.raises(AdapterError, match=r"has no adapter\.gguf"):
        publish.publish(home, publish.PublishRequest(folder, BASE))
    assert not home.adapters.exists() or not list_adapters(home.adapters)


def test_prune_keeps_the_current_adapter_regardless_of_age(home: Home, tmp_path: Path) -> None:
    one, two, three = (put(home, tmp_path, mark) for mark in ("one", "two", "three"))
    publish.select(home, one)
    assert publish.prune(home, 1) == (two,)
    assert {adapter.id for adapter in list_adapters(home.adapters)} == {one, three}


def test_prune_keeps_pinned_adapters_until_they_are_unpinned(home: Home, tmp_path: Path) -> None:
    one, two, three = (put(home, tmp_path, mark) for mark in ("one", "two", "three"))
    publish.pin(home, one)
    assert publish.prune(home, 0) == (two,)
    assert {adapter.id for adapter in list_adapters(home.adapters)} == {one, three}
    publish.pin(home, one, on=False)
    assert publish.prune(home, 0) == (one,)
    with pytest.raises(AdapterError, match="no adapter"):
        publish.pin(home, one)


def test_prune_removes_nothing_while_the_pointer_is_damaged(home: Home, tmp_path: Path) -> None:
    put(home, tmp_path, "one")
    (home.adapters / "current.json").write_text("{")
    assert publish.prune(home, 0) == ()
    assert len(list_adapters(home.adapters)) == 1


def test_a_rolled_back_adapter_is_not_trained_again_until_its_lessons_change(
    home: Home, tmp_path: Path
) -> None:
    put(home, tmp_path, "one")
    two = put(home, tmp_path, "two")
    publish.rollback(home)
    publish.require_not_withdrawn(home, BASE, {"d": "one"})
    with pytest.raises(NothingToTrainError, match=f"the adapter {two[:8]}, .* was rolled back"):
        publish.require_not_withdrawn(home, BASE, {"d": "two"})
    publish.require_not_withdrawn(home, BASE, {"d": "two", "e": "new"})
    publish.require_not_withdrawn(home, BaseEntry(sha256="c" * 64, name="other"), {"d": "two"})
    publish.rollback(home)  # one step further back; the withdrawal is still remembered
    with pytest.raises(NothingToTrainError):
        publish.require_not_withdrawn(home, BASE, {"d": "two"})
    publish.select(home, two)  # selecting it again lifts the withdrawal
    publish.require_not_withdrawn(home, BASE, {"d": "two"})


def test_an_adapter_refused_by_the_probe_is_never_current_and_is_deleted(
    home: Home, tmp_path: Path
) -> None:
    one = put(home, tmp_path, "one")

    def refuse(adapter: Path) -> None:
        assert adapter.parent.parent == home.adapters  # under its final name
        assert read_pointer(home.adapters).current == one
        raise AdapterError("it crashes")

    with pytest.raises(AdapterError, match="it crashes"):
        publish.publish(
            home, publish.PublishRequest(candidate(tmp_path / "two", "two"), BASE), probe=refuse
        )
    assert read_pointer(home.adapters).current == one
    assert [adapter.id for adapter in list_adapters(home.adapters)] == [one]


def test_a_link_is_not_accepted_as_an_adapter_file(home: Home, tmp_path: Path) -> None:
    folder = candidate(tmp_path / "one", "one")
    (folder / "adapter.gguf").rename(tmp_path / "elsewhere")
    (folder / "adapter.gguf").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterError, match=r"has no adapter\.gguf"):
        publish.publish(home, publish.PublishRequest(folder, BASE))


def test_adapters_stay_off_while_nights_publish_new_ones(home: Home, tmp_path: Path) -> None:
    one = put(home, tmp_path, "one")
    assert publish.switch_off(home) == one
    two = put(home, tmp_path, "two")
    assert read_pointer(home.adapters).current is None
    assert serving(home).id == two  # type: ignore[union-attr]  # what the next night builds on
    assert publish.prune(home, 0) == (one,)  # a waiting adapter is never removed
    publish.switch_off(home)
    assert publish.switch_on(home) == two
    assert read_pointer(home.adapters).current == two
    assert publish.switch_on(home) == two
    three = put(home, tmp_path, "three")
    assert read_pointer(home.adapters).current == three  # on again, a new adapter is used


def test_selecting_or_rolling_back_turns_adapters_on_and_discards_waiting_ones(
    home: Home, tmp_path: Path
) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    publish.switch_off(home)
    publish.select(home, one)
    assert read_pointer(home.adapters).current == one
    publish.switch_off(home)
    three = put(home, tmp_path, "three")
    assert publish.rollback(home) == one
    with pytest.raises(NothingToTrainError, match=three[:8]):
        publish.require_not_withdrawn(home, BASE, {"d": "three"})
    publish.select(home, two)
    assert not read_pointer(home.adapters).off


def test_a_damaged_pointer_is_repaired_by_off_too(home: Home, tmp_path: Path) -> None:
    put(home, tmp_path, "one")
    (home.adapters / "current.json").write_text("{")
    publish.switch_off(home)
    assert read_pointer(home.adapters).off
    assert publish.switch_on(home) is None
