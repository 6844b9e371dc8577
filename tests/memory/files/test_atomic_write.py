"""Files and folders are written completely or not at all; leftovers of killed writers are removed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memory.files import atomic_write
from memory.files.atomic_write import scratch, sweep, unfinished, write_whole
from tests.support.processes import ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


@pytest.fixture(params=[0o000, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_written_files_are_private_whatever_the_umask(umask: int, folder: Path) -> None:
    folder.chmod(0o755)
    write_whole(folder / "marks.jsonl", "é\n")
    with atomic_write.whole(folder / "peft") as part:
        part.mkdir(0o700)
        part.chmod(0o755)
        (part / "card.md").touch(0o600)
    with scratch(folder) as place:
        assert mode(place) == 0o700
    assert mode(folder / "marks.jsonl") == mode(folder / "peft" / "card.md") == 0o600
    assert mode(folder / "peft") == 0o700
    assert (folder / "marks.jsonl").read_text("utf-8") == "é\n"
    assert sorted(item.name for item in folder.iterdir()) == ["marks.jsonl", "peft"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    path = folder / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write.whole(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(folder.iterdir()) == [path]


def test_a_folder_replaces_a_folder_unless_it_must_be_new(
    folder: Path,
) -> None:
    for word in ("one", "two"):
        with atomic_write.whole(folder / "peft") as part:
            part.mkdir()
            (part / word).touch()
    assert [item.name for item in (folder / "peft").iterdir()] == ["two"]
    with pytest.raises(FileExistsError):
        write_whole(folder / "peft" / "two", "more", new=True)
    write_whole(folder / "peft" / "three", "more", new=True)
    assert (folder / "peft" / "three").stat().st_nlink == 1


def test_a_device_is_not_replaced_by_a_file(folder: Path) -> None:
    (folder / "link").symlink_to(os.devnull)  # so that a failure does no harm
    with pytest.raises(FileExistsError, match="it is a device"):
        write_whole(folder / "link", "words")
    assert (folder / "link").is_symlink()


def test_the_target_of_a_link_is_unchanged(folder: Path) -> None:
    (folder / "elsewhere").write_text("theirs")
    (folder / "link").symlink_to(folder / "elsewhere")
    write_whole(folder / "link", "ours")
    assert (folder / "elsewhere").read_text() == "theirs"
    assert (folder / "link").read_text() == "ours"


def test_only_leftovers_of_killed_writers_are_swept(
    folder: Path,
) -> None:
    held = """
import sys
from pathlib import Path
from memory.files.atomic_write import whole
with whole(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", held, str(folder / "marks.jsonl")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        assert sweep(folder) == 0
        (left,) = unfinished(folder, "marks.jsonl")
        assert (left / "marks.jsonl").read_text() == "half"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert unfinished(folder) == [left]
    assert unfinished(folder, "other") == []
    assert sweep(folder) == 1
    assert list(folder.iterdir()) == []


def test_the_next_writer_sweeps_leftovers(folder: Path) -> None:
    left = folder / ".discern-0123456789abcdef"
    (left / "inner").mkdir(parents=True)
    write_whole(folder / "file", "new")
    assert list(folder.iterdir()) == [folder / "file"]


def test_a_sweep_follows_no_links_and_removes_no_other_names(folder: Path) -> None:
    outside, inside = folder / "outside", folder / "inside"
    for folder in (outside, inside, inside / ".discern-short", inside / ".discern-cache"):
        folder.mkdir()
    (outside / "file").write_text("theirs")
    (inside / ".discern-0123456789abcdef").symlink_to(outside)
    left = inside / ".discern-fedcba9876543210"
    left.mkdir()
    (left / "link").symlink_to(outside)
    (inside / ".discern-00000000000000aa").touch()
    assert sweep(inside) == 1
    assert not left.exists()
    assert (outside / "file").read_text() == "theirs"
    assert len(list(inside.iterdir())) == 4


CALLS = ("mkdir", "chmod", "open", "fsync", "rename", "replace", "link", "rmdir", "unlink")


def killed(do: Callable[[], object], number: int) -> bool:
    """Run it in a fork that is killed at its `number`-th disk call; return whether it was killed."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)

            return call

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        do()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("new", [False, True])
def test_a_killed_write_leaves_the_old_or_the_new_file(folder: Path, new: bool) -> None:
    path = folder / "file"
    number = 0
    while True:
        number += 1
        path.unlink(missing_ok=True)
        if not new:
            path.write_text("old")
        died = killed(lambda: write_whole(path, "new", new=new), number)
        assert (path.read_text() if path.exists() else None) in ("new", None if new else "old")
        sweep(folder)
        assert set(folder.iterdir()) <= {path}
        if not died:
            break
    assert number > 8
    assert path.read_text() == "new"
