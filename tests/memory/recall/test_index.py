"""The vector index follows the journal by itself, whatever was lost, cut off or replaced."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memory.difference import new_id
from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.recall.chroma_store import Store, collection_name
from memory.recall.embedder import NgramEmbedder, Vectors
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import make_difference, make_turn


def fill(home: Home, count: int) -> None:
    with Journal(home.prepare().journal) as journal, journal.transaction():
        for number in range(count):
            asked = f"question number {number} of {number * 7919 % 1000}"
            journal.differences.add(replace(make_difference(), id=new_id(), asked=asked))


def is_whole(memory: Memory) -> bool:
    assert memory.settle(60)
    assert memory.index is not None
    return memory.index.ids() == {item.id for item in memory.journal.differences.all()}


@pytest.mark.parametrize("what", ["cache", "index", "owner.lock"])
def test_the_journal_works_without_a_writable_index(
    home: Home, settings: Settings, what: str
) -> None:
    places = {"cache": home.cache, "index": home.index, "owner.lock": home.index / "owner.lock"}
    shutil.rmtree(home.cache)
    if what == "owner.lock":
        places[what].mkdir(parents=True)
    else:
        places[what].parent.mkdir(exist_ok=True)
        places[what].write_text("no folder")
    with Memory.open(home.prepare(), settings, dense=True) as memory:
        marked = memory.mark(make_turn("capital of Zubrowka"), MarkRequest("error", sounds="Lutz."))
        assert not memory.settle(30)
        assert "cannot write the index in" in str(memory.notice)
        found = memory.search("the capital of Zubrowka")
        assert [item.difference.id for item in found] == [marked.id]


class Other(NgramEmbedder):
    """Another embedder: other vectors, another size."""

    name = "other/ü v1"
    size = 64

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.ones((len(texts), 64), dtype=np.float32)
        vectors[:, 0] = [len(text) for text in texts]
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def lost(home: Home) -> None:
    shutil.rmtree(home.index)


def spoilt(home: Home) -> None:
    for path in (home.index / "chroma").rglob("*"):
        if path.is_file():
            path.write_bytes(b"spoilt" * 100)


def without_its_vectors(home: Home) -> None:
    for path in (home.index / "chroma").iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def behind(home: Home) -> None:
    fill(home, 3)


def ahead(home: Home) -> None:
    with Journal(home.journal) as journal:
        for item in journal.differences.all()[:4]:
            journal.forgetting.remove_mark(item)


def at_the_same_count(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.forgetting.remove_mark(journal.differences.all()[-1])
    fill(home, 1)


def swapped_inside(home: Home) -> None:
    with Journal(home.journal) as journal:
        for item in journal.differences.all()[2:5]:
            journal.forgetting.remove_mark(item)
    fill(home, 3)


def of_another_journal(home: Home) -> None:
    home.journal.unlink()
    fill(home, 20)


@pytest.mark.parametrize(
    "damage",
    [
        lost,
        spoilt,
        without_its_vectors,
        behind,
        ahead,
        at_the_same_count,
        swapped_inside,
        of_another_journal,
    ],
)
def test_an_outdated_index_is_repaired_automatically(
    home: Home, settings: Settings, damage: Callable[[Home], None]
) -> None:
    fill(home, 20)
    with Memory.open(home, settings) as memory:
        assert is_whole(memory)
    damage(home)
    with Memory.open(home, settings) as memory:
        assert is_whole(memory)
        assert memory.index is not None
        assert memory.notice is None
        near = memory.index.nearest("question number 7 of 433", 3)
        assert len(near) == 3
        assert near[0][1] > 0.5


def test_another_embedder_rebuilds_the_index_and_removes_the_old_one(
    home: Home, settings: Settings
) -> None:
    fill(home, 20)
    for make in (NgramEmbedder, Other, NgramEmbedder):
        with Memory.open(home, settings, embedder=make) as memory:
            assert is_whole(memory)
            assert memory.index is not None
            assert isinstance(memory.index._store, Store)
            listed = memory.index._store._client.list_collections()
            assert [item.name for item in listed] == [collection_name(make.name, make.size)]


def test_collection_names_are_valid_for_chroma() -> None:
    assert (
        collection_name("Qwen3 Embedding/0.6B ü", 1024) == "differences-Qwen3_Embedding_0.6B_-1024"
    )
    assert len(collection_name("x" * 900, 1)) <= 200


def test_opening_recalling_and_marking_do_not_wait_for_the_index(
    home: Home, settings: Settings
) -> None:
    fill(home, 3000)
    with Memory.open(home, settings) as memory:
        difference = memory.mark(
            make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker.")
        )
        found = memory.search("who is mendl")
        assert found[0].difference == difference
        assert memory.notice is not None  # it was still being made
        assert memory.settle(120)
        assert memory.notice is None
        assert memory.index is not None
        assert memory.index.nearest("who is mendl", 1)[0][0] == difference.id


def test_an_index_that_is_up_to_date_compares_no_ids(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, 20)
    with Memory.open(home, settings) as memory:
        assert is_whole(memory)

    def walk(*_args: object) -> None:
        raise AssertionError("walked")

    monkeypatch.setattr("memory.recall.chroma_store.Store.ids", walk)
    with Memory.open(home, settings) as memory:
        assert memory.settle(60)
        memory.mark(make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker."))
        assert memory.settle(60)


def test_a_rebuild_reports_progress_and_indexes_everything(home: Home, settings: Settings) -> None:
    fill(home, 1200)
    seen: list[tuple[int, int]] = []
    with Memory.open(home, settings) as memory:
        assert memory.settle(60)
        assert memory.rebuild(lambda done, total: seen.append((done, total))) == 1200
        assert is_whole(memory)
    assert seen
    assert seen == sorted(seen)
    assert all(total == 1200 for _, total in seen)


def test_another_process_uses_keyword_search_and_says_so(home: Home, settings: Settings) -> None:
    fill(home, 5)
    with Memory.open(home, settings) as first:
        assert first.settle(60)
        with Memory.open(home, settings) as second:
            assert second.notice is not None
            assert "the index is in use by another process" in str(second.notice)
            assert second.search("question number 3")
            with pytest.raises(HomeError, match="the index is in use by another process"):
                second.rebuild()
        with Memory.open(home, settings, dense=False) as third:
            assert third.notice is None


def test_keyword_search_is_used_while_the_index_is_built(home: Home, settings: Settings) -> None:
    fill(home, 1500)
    with Memory.open(home, settings) as memory:
        notice = memory.notice
        assert notice is not None
        assert "using keyword search only until it is ready" in str(notice)
        assert memory.search("question number 3")
        assert memory.settle(60)
        assert memory.notice is None


KILLED = """
import sys
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from memory.memory import Memory
home = Home.locate()
memory = Memory.open(home, read_settings(home))
if sys.argv[1] == "rebuild":
    memory.settle()
    print("ready", flush=True)
    memory.rebuild(lambda done, total: print(done, flush=True))
else:
    memory.recall.index.settle(lambda done, total: print(done, flush=True))
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("step", ["0", "500", "1000", "done"])
@pytest.mark.parametrize("what", ["open", "rebuild"])
def test_an_index_killed_in_the_middle_is_repaired_at_the_next_opening(
    home: Home, settings: Settings, what: str, step: str
) -> None:
    """A real SIGKILL: at the start of the work, after some batches, and after its end."""
    fill(home, 1300)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    for line in child.stdout:
        said = line.strip()
        if said == step or (said == "ready" and step == "0") or (what == "open" and step == "0"):
            break
        if said.isdigit() and step.isdigit() and int(said) > int(step):
            break
        if said == "done":  # another thread finished the rest
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    with Memory.open(home, settings) as memory:
        assert is_whole(memory)
        assert memory.journal.check() is None


# --- a server ------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Chroma server as a child process, on its own port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    with (tmp_path / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [program, "run", "--path", tmp_path / "server", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert child.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", child
    finally:
        child.kill()
        child.wait()


def with_chroma(settings: Settings, url: str) -> Settings:
    return settings.model_copy(
        update={"memory": settings.memory.model_copy(update={"chroma": url})}
    )


def test_several_chats_share_a_server_and_two_journals_do_not_mix(
    home: Home, settings: Settings, server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    settings = with_chroma(settings, server[0])
    fill(home, 5)
    other = Home.at(tmp_path / "other")
    fill(other, 3)
    with (
        Memory.open(home, settings) as one,
        Memory.open(home, settings) as two,
        Memory.open(other, settings) as elsewhere,
    ):
        assert is_whole(one)
        assert is_whole(two)
        assert is_whole(elsewhere)
        marked = two.mark(make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker."))
        assert is_whole(two)
        assert is_whole(one)
        assert is_whole(elsewhere)
        assert one.index is not None
        assert one.index.nearest("who is mendl", 1)[0][0] == marked.id
        assert one.notice is two.notice is None
    assert not (home.index / "chroma").exists()


def test_keyword_search_is_used_when_the_server_goes_away(
    home: Home, settings: Settings, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    fill(home, 5)
    with Memory.open(home, with_chroma(settings, server[0])) as memory:
        assert memory.settle(60)
        server[1].kill()
        server[1].wait()
        assert memory.search("question number 3")
        assert memory.notice is not None
        assert "using keyword search only" in str(memory.notice)
        memory.mark(make_turn("Who is Mendl?"), MarkRequest("error", sounds="A baker."))
        assert memory.search("who is mendl")[0].difference.contrast.sounds == "A baker."


def test_a_missing_server_is_reported_and_keyword_search_is_used(
    home: Home, settings: Settings
) -> None:
    fill(home, 2)
    with Memory.open(home, with_chroma(settings, "http://127.0.0.1:9")) as memory:
        assert not memory.settle(30)
        assert memory.notice is not None
        assert "cannot use the Chroma server http://127.0.0.1:9" in str(memory.notice)
        assert memory.search("question number 1")


def test_the_token_is_sent_to_the_server_only_and_never_unencrypted(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain socket in place of the server records what it is sent."""
    monkeypatch.setenv("DISCERN_CHROMA_TOKEN", "s3cret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Memory.open(home, with_chroma(settings, url)) as memory:
            heard = b""
            while b"\r\n\r\n" not in heard:
                listener.settimeout(20)
                connection, _ = listener.accept()
                connection.settimeout(5)
                heard = connection.recv(65536)  # the first only checks that the server answers
                connection.close()
            assert b"authorization: bearer s3cret" in heard.lower()
            memory.settle(30)
            assert memory.notice is not None
            assert "s3cret" not in str(memory.notice)
    with Memory.open(home, with_chroma(settings, "http://chroma.example:8000")) as memory:
        assert not memory.settle(30)
        assert memory.notice is not None
        assert "would be sent unencrypted; use https" in str(memory.notice)
