"""The pointer covers the manifests and is read within limits; older pointers still work."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.adapters import find_adapter, read_adapter, read_pointer, verify
from memory.errors import AdapterError
from memory.settings.paths import Home
from tests.trainer.adapters.test_publish import BASE, put
from trainer.adapters import publish


def change(home: Home, identity: str, scale: float = 3.5) -> None:
    """Change the scale in an adapter's manifest, and nothing else."""
    path = home.adapters / identity / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scale": scale}))


def age(home: Home) -> None:
    """Rewrite the pointer in the format of an older version."""
    path = home.adapters / "current.json"
    values = json.loads(path.read_text())
    del values["manifests"]
    path.write_text(json.dumps(values))


def test_a_changed_manifest_is_refused_as_a_changed_file_is(home: Home, tmp_path: Path) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    change(home, one)
    change(home, two)
    for identity in (one, two):
        with pytest.raises(
            AdapterError, match=r"manifest\.json has changed since it was published"
        ):
            verify(find_adapter(home.adapters, identity), BASE.sha256)
        with pytest.raises(AdapterError, match="has changed since it was published"):
            publish.select(home, identity)
    publish.switch_off(home)
    with pytest.raises(AdapterError, match="has changed since it was published"):
        publish.switch_on(home)
    assert read_pointer(home.adapters).off


def _there_and_back(home: Home, one: str) -> None:
    publish.select(home, one)
    publish.switch_off(home)
    publish.switch_on(home)


@pytest.mark.parametrize(
    "act",
    [
        lambda home, one: publish.select(home, one),
        lambda home, one: publish.select(home, None),
        lambda home, one: publish.pin(home, one),
        lambda home, one: publish.rollback(home),
        lambda home, one: publish.switch_off(home),
        _there_and_back,
        lambda home, one: publish.prune(home, 1),
        lambda home, one: publish.sweep(home),
    ],
    ids=["use", "use none", "pin", "rollback", "off", "off and on", "prune", "sweep"],
)
def test_published_adapters_stay_recorded_whatever_is_done(
    home: Home, tmp_path: Path, act: Callable[[Home, str], object]
) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    noted = read_pointer(home.adapters).manifests
    assert noted.keys() == {one, two}
    change(home, two)  # must not be recorded as published
    act(home, one)
    assert read_pointer(home.adapters).manifests == noted
    put(home, tmp_path, "three")
    assert noted.items() <= read_pointer(home.adapters).manifests.items()


def test_rollback_skips_a_changed_adapter(home: Home, tmp_path: Path) -> None:
    one, two, _three = (put(home, tmp_path, mark) for mark in ("one", "two", "three"))
    change(home, two)
    assert publish.rollback(home) == one


def test_an_adapter_of_an_older_home_works_and_is_recorded_by_the_next_publish(
    home: Home, tmp_path: Path
) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    noted = read_pointer(home.adapters).manifests
    age(home)
    verify(read_adapter(home.adapters, two), BASE.sha256)
    publish.sweep(home)  # the first step of a night
    pointer = read_pointer(home.adapters)
    assert (pointer.current, pointer.history) == (two, (None, one))
    assert pointer.manifests == noted
    change(home, two)
    with pytest.raises(AdapterError, match="has changed since it was published"):
        verify(read_adapter(home.adapters, two), BASE.sha256)


@pytest.mark.parametrize(
    "act",
    [
        lambda home, one: publish.select(home, one),
        lambda home, one: publish.rollback(home),
        lambda home, one: publish.switch_off(home),
    ],
    ids=["use", "rollback", "off"],
)
def test_selecting_an_adapter_in_an_older_home_records_all_of_them(
    home: Home, tmp_path: Path, act: Callable[[Home, str], object]
) -> None:
    one, _two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    noted = read_pointer(home.adapters).manifests
    age(home)
    act(home, one)
    assert read_pointer(home.adapters).manifests == noted


def test_a_deleted_adapter_is_no_longer_recorded(home: Home, tmp_path: Path) -> None:
    one, two, three = (put(home, tmp_path, mark) for mark in ("one", "two", "three"))
    assert publish.prune(home, 1) == (one,)
    publish.rollback(home)
    assert read_pointer(home.adapters).manifests.keys() == {two, three}


def _of_three_gigabytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 << 30)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "it is a named pipe, not a file"),
    "three gigabytes": (_of_three_gigabytes, "3,221.2 MB"),
    "nested": (lambda path: path.write_text("[" * 100_000), "nested more than 64 levels"),
    "digits": (lambda path: path.write_text('{"a": ' + "9" * 5_000 + "}"), "hundreds of digits"),
    "a list": (lambda path: path.write_text("[]"), "not a JSON object"),
    "not an adapter pointer": (
        lambda path: path.write_text('{"current": 7}'),
        "not an adapter pointer",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_invalid_pointer_is_refused_without_waiting_and_repaired_by_off(
    home: Home, tmp_path: Path, name: str
) -> None:
    make, said = UNREADABLE[name]
    one = put(home, tmp_path, "one")
    path = home.adapters / "current.json"
    path.unlink()
    make(path)
    with pytest.raises(AdapterError, match=f"{said}.*`discern adapters off`") as caught:
        read_pointer(home.adapters)
    assert str(path) in str(caught.value)
    publish.switch_off(home)
    assert read_pointer(home.adapters).off
    publish.select(home, one)
    assert read_pointer(home.adapters).current == one


def test_a_folder_at_the_pointers_path_is_refused_and_left_alone(
    home: Home, tmp_path: Path
) -> None:
    put(home, tmp_path, "one")
    path = home.adapters / "current.json"
    path.unlink()
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(AdapterError, match="it is a folder, not a file; delete it"):
        read_pointer(home.adapters)
    with pytest.raises(OSError, match="cannot write"):
        publish.switch_off(home)
    assert (path / "kept").exists()
    assert sorted(item.name for item in home.adapters.glob(".tmp-*")) == []


@pytest.mark.parametrize("name", ["a pipe", "three gigabytes", "nested", "digits", "a list"])
def test_an_invalid_manifest_is_refused_without_waiting(
    home: Home, tmp_path: Path, name: str
) -> None:
    one, two = put(home, tmp_path, "one"), put(home, tmp_path, "two")
    path = home.adapters / two / "manifest.json"
    path.unlink()
    UNREADABLE[name][0](path)
    with pytest.raises(AdapterError, match=r"the manifest .*manifest\.json is damaged") as caught:
        read_adapter(home.adapters, two)
    assert str(path) in str(caught.value)
    assert publish.rollback(home) == one
