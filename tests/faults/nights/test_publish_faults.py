"""Publishing when killed at every call, and on disks that fail, fill up or cannot be written.

In every case, one complete adapter is current, the old or the new one; an error is one sentence and
keeps the old one; and the next sweep removes everything incomplete.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import find_adapter, list_adapters, read_pointer, verify
from memory.files import atomic_write
from memory.settings.paths import Home
from tests.faults.programs.publisher import BASE
from tests.support.processes import ROOT
from trainer.adapters import publish


class Publisher:
    """A `tests.faults.programs.publisher` at work in a home."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.programs.publisher", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )

    def __call__(self, do: str, **values: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@contextmanager
def publisher(home: Path, environment: dict[str, str] | None = None) -> Iterator[Publisher]:
    made = Publisher(home, environment)
    try:
        yield made
    finally:
        made.close()


def candidate(folder: Path, mark: str, size: int = 30_000) -> str:
    folder = folder / f"candidate-{mark}"
    folder.mkdir(exist_ok=True)
    for name in publish.FILES:
        (folder / name).write_bytes(f"{name} {mark} ".encode().ljust(size, b"."))
    return str(folder)


def serves_whole(home: Home) -> str | None:
    """The current adapter, after verifying its hashes."""
    current = read_pointer(home.adapters).current
    if current is not None:
        verify(find_adapter(home.adapters, current), BASE.sha256)
    for adapter in list_adapters(home.adapters):
        verify(adapter)
    return current


LEFT = ".discern-0123456789abcdef"


def leftovers(home: Home) -> list[Path]:
    return atomic_write.unfinished(home.adapters)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", [True, False])
def test_killed_at_any_call_of_publish_one_complete_adapter_is_current(
    home: Home,
    tmp_path: Path,
    when: str,
    first: bool,
    record_property: Callable[[str, object], None],
) -> None:
    with publisher(home.data) as at_work:
        if not first:
            at_work("publish", candidate=candidate(tmp_path, "old"))
        old = serves_whole(home) if not first else None
        number, killed = 0, 0
        while True:
            number += 1
            new = candidate(tmp_path, f"new{number}")
            answer = at_work("publish", candidate=new, kill=number, when=when)
            if answer["code"] == 0:
                break
            assert answer["code"] == -9
            killed += 1
            now_serves = serves_whole(home)
            names = {item.manifest.fingerprints["d"] for item in list_adapters(home.adapters)}
            assert now_serves == old or f"candidate-new{number}" in names
            old = now_serves
            publish.sweep(home)
            assert not leftovers(home)
        record_property("faults", killed)
        assert killed >= 10  # four files, two folders, two renames, …
        assert serves_whole(home) != old


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("deed", ["rollback", "select", "pin", "prune", "sweep"])
def test_killed_at_any_call_of_another_operation_one_complete_adapter_is_current(
    home: Home, tmp_path: Path, when: str, deed: str, record_property: Callable[[str, object], None]
) -> None:
    with publisher(home.data) as at_work:
        for mark in "abcde":
            at_work("publish", candidate=candidate(tmp_path, mark))
        newest = [item.id for item in list_adapters(home.adapters)]
        kill = 0
        while True:
            kill += 1
            publish.select(home, newest[0])
            (home.adapters / LEFT).mkdir(exist_ok=True)
            (home.adapters / LEFT / "adapter.gguf").write_text("half")
            options = {"identity": newest[1], "keep": 2}
            answer = at_work(deed, kill=kill, when=when, **options)
            assert serves_whole(home) in (newest[0], newest[1], read_pointer(home.adapters).current)
            if answer["code"] == 0:
                break
            assert answer["code"] == -9
        record_property("faults", kill - 1)
        publish.sweep(home)
        assert not leftovers(home)


def in_order(calls: list[str], folder: Path) -> None:
    """Check fsync(file) < rename < fsync(folder) for everything that got a final name."""
    renames = 0
    for number, line in enumerate(calls):
        call, source, *target = line.split(" ")
        if call not in ("rename", "replace"):
            continue
        renames += 1
        flushed = {name.split(" ")[1] for name in calls[:number] if name.startswith("fsync ")}
        assert source in flushed, f"{source} was not flushed before it was renamed"
        if Path(target[0]).name != "current.json":
            for name in (*publish.FILES, "manifest.json"):
                assert f"{source}/{name}" in flushed
        assert calls[number + 1] == f"fsync {folder}"
    assert renames == 2


def test_a_file_is_flushed_before_it_is_renamed_and_its_folder_after(
    home: Home, tmp_path: Path
) -> None:
    with publisher(home.data) as at_work:
        at_work("publish", candidate=candidate(tmp_path, "old"))
        answer = at_work("publish", candidate=candidate(tmp_path, "new"))
    in_order(answer["calls"], home.adapters)


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return done.returncode == 0


needs_strace = pytest.mark.skipif(not strace_works(), reason="no strace, or no leave to trace")


def traced(home: Home, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    ask = json.dumps({"do": "publish", "candidate": candidate(folder, "traced")})
    return subprocess.run(
        [
            "strace",
            "-f",
            *options,
            sys.executable,
            "-m",
            "tests.faults.programs.publisher",
            str(home.data),
        ],
        input=ask,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )


@needs_strace
def test_strace_shows_the_same_order(home: Home, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fsync,rename,renameat,renameat2"
    done = traced(home, tmp_path, "-y", "-e", calls, "-o", str(trace))
    assert json.loads(done.stdout)["code"] == 0
    seen = []
    for line in trace.read_text().splitlines():
        if found := re.search(r"fsync\(\d+<([^>]*)>\) += 0", line):
            seen.append(f"fsync {found[1]}")
        elif found := re.search(r'rename(?:at2?)?\([^"]*"([^"]*)",[^"]*"([^"]*)".*\) += 0', line):
            seen.append(f"rename {found[1]} {found[2]}")
    in_order([line for line in seen if str(home.adapters) in line], home.adapters)


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_killed_at_any_fsync_or_rename_one_complete_adapter_is_current(
    home: Home, tmp_path: Path, call: str, record_property: Callable[[str, object], None]
) -> None:
    publish.publish(
        home,
        publish.PublishRequest(Path(candidate(tmp_path, "old")), BASE, fingerprints={"d": "old"}),
    )
    number = 0
    while True:
        number += 1
        inject = f"inject={call}:signal=KILL:when={number}"
        done = traced(home, tmp_path, "-o", os.devnull, "-e", f"trace={call}", "-e", inject)
        serves_whole(home)
        publish.sweep(home)
        assert not leftovers(home)
        if json.loads(done.stdout)["code"] == 0:
            break
    record_property("faults", number - 1)
    assert number > (6 if call == "fsync" else 2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("for_good", [False, True])
def test_a_disk_error_at_any_call_keeps_the_old_adapter_and_is_reported(
    home: Home,
    tmp_path: Path,
    broken_disk: Path,
    call: str,
    number: int,
    for_good: bool,
    record_property: Callable[[str, object], None],
) -> None:
    with publisher(home.data, {"LD_PRELOAD": str(broken_disk)}) as at_work:
        at_work("publish", candidate=candidate(tmp_path, "old"))
        old = serves_whole(home)
        failed = 0
        while True:
            fault = {
                "FAULT_CALL": call,
                "FAULT_AT": str(failed + 1),
                "FAULT_ERRNO": str(number),
                "FAULT_UNDER": "/adapters",
                **({"FAULT_FOR_GOOD": "1"} if for_good else {}),
            }
            new = candidate(tmp_path, "new")
            answer = at_work("publish", candidate=new, environment=fault)
            if answer["code"] == 0:
                break
            failed += 1
            assert answer["code"] == 2
            assert os.strerror(number) in answer["said"]
            assert "the current adapter is unchanged" in answer["said"]
            assert serves_whole(home) == old
            publish.sweep(home)
            assert not leftovers(home)
        record_property("faults", failed)
        assert failed >= {"write": 5, "fsync": 8, "rename": 2}[call]
        assert serves_whole(home) not in (None, old)


def mounted(folder: Path, options: str) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_keeps_the_old_adapter(home: Home, tmp_path: Path) -> None:
    if not mounted(home.adapters, "size=300k"):
        pytest.skip("no leave to mount a tiny disk")
    try:
        with publisher(home.data) as at_work:
            assert at_work("publish", candidate=candidate(tmp_path, "old"))["said"] != ""
            publish._SPARE, spare = 0, publish._SPARE
            try:
                one = publish.publish(
                    home, publish.PublishRequest(Path(candidate(tmp_path, "one")), BASE)
                ).id
                two = Path(candidate(tmp_path, "two", 90_000))
                with pytest.raises(OSError, match="free up space"):
                    publish.publish(home, publish.PublishRequest(two, BASE))
                # Another process fills the disk after the space check.
                (home.adapters / "other").write_bytes(b"." * 150_000)
                usage = shutil.disk_usage(home.adapters)
                shutil.disk_usage, look = (
                    (lambda path: usage._replace(free=1 << 30)),
                    shutil.disk_usage,
                )
                try:
                    with pytest.raises(OSError, match="No space left on device"):
                        publish.publish(home, publish.PublishRequest(two, BASE))
                finally:
                    shutil.disk_usage = look
            finally:
                publish._SPARE = spare
            assert serves_whole(home) == one
            assert not leftovers(home)
    finally:
        subprocess.run(["umount", str(home.adapters)], check=True)


def test_a_folder_that_cannot_be_written_is_named(home: Home, tmp_path: Path) -> None:
    one = publish.publish(home, publish.PublishRequest(Path(candidate(tmp_path, "one")), BASE)).id
    two = candidate(tmp_path, "two")
    bound = False
    if os.geteuid() == 0:  # permissions do not stop root
        bind = ["mount", "--bind", str(home.adapters), str(home.adapters)]
        again = ["mount", "-o", "remount,ro,bind", str(home.adapters)]
        bound = all(
            subprocess.run(c, capture_output=True, check=False).returncode == 0
            for c in (bind, again)
        )
        if not bound:
            pytest.skip("no leave to make a folder read-only")
    else:
        home.adapters.chmod(0o500)
    try:
        with publisher(home.data) as at_work:
            for deed in ("publish", "rollback"):
                answer = at_work(deed, candidate=two)
                assert answer["code"] == 2
                assert re.search("Read-only|Permission", answer["said"])
                assert str(home.adapters) in answer["said"]
        assert serves_whole(home) == one
    finally:
        if bound:
            subprocess.run(["umount", str(home.adapters)], check=True)
        else:
            home.adapters.chmod(0o700)


def test_a_file_size_limit_keeps_the_old_adapter(home: Home, tmp_path: Path) -> None:
    with publisher(home.data) as at_work:
        at_work("publish", candidate=candidate(tmp_path, "old"))
        old = serves_whole(home)
        answer = at_work("publish", candidate=candidate(tmp_path, "new"), largest_file=8192)
        assert answer["code"] == 2
        assert "File too large" in answer["said"]
        assert serves_whole(home) == old
        assert not leftovers(home)


def test_two_writers_take_turns(home: Home, tmp_path: Path) -> None:
    with publisher(home.data) as one, publisher(home.data) as two:
        for at_work, mark in ((one, "a"), (two, "b")):
            assert at_work.process.stdin is not None
            for number in range(10):
                ask = {"do": "publish", "candidate": candidate(tmp_path, f"{mark}{number}")}
                at_work.process.stdin.write(json.dumps(ask) + "\n")
            at_work.process.stdin.flush()
        for at_work in (one, two):
            assert at_work.process.stdout is not None
            for _number in range(10):
                assert json.loads(at_work.process.stdout.readline())["code"] == 0
    assert len(list_adapters(home.adapters)) == 20
    assert serves_whole(home)
    assert len(read_pointer(home.adapters).history) == 20
