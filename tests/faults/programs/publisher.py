"""Publish for the tests, and exit or fail at a given call.

    python -m tests.faults.programs.publisher HOME

Reads one JSON object per line and does it in a forked child: {"do": "publish", "candidate": path} or
another of `DEEDS`, with "kill": n, "when": "before" | "after" to be killed at the n-th call that
changes the disk, or "environment" for the failing disk of broken_disk.c. Answers {"code", "said",
"calls"}: the exit code (negative: killed), an error's sentence, the calls in their order.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.adapters import BaseEntry
from memory.errors import DiscernError
from memory.settings.paths import Home
from trainer.adapters import publish

BASE = BaseEntry(sha256="b" * 64, name="base.gguf")
WATCHED = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")


def put(home: Home, asked: dict[str, Any]) -> None:
    candidate = Path(asked["candidate"])
    publish.publish(
        home,
        publish.PublishRequest(
            candidate, BASE, differences=["d"], fingerprints={"d": candidate.name}
        ),
    )


DEEDS: dict[str, Callable[[Home, dict[str, Any]], object]] = {
    "publish": put,
    "select": lambda home, asked: publish.select(home, asked["identity"]),
    "rollback": lambda home, asked: publish.rollback(home),
    "pin": lambda home, asked: publish.pin(home, asked["identity"], asked.get("on", True)),
    "prune": lambda home, asked: publish.prune(home, asked["keep"]),
    "sweep": lambda home, asked: publish.sweep(home),
}


def watch(calls: list[str], kill: int, when: str) -> None:
    """Note every call that changes the disk; be killed at the `kill`-th, before or after it."""

    def watched(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            at = arguments[0]
            if isinstance(at, int):
                at = str(Path(f"/proc/self/fd/{at}").readlink())
            to = f" {arguments[1]}" if name in ("rename", "replace") else ""
            calls.append(f"{name} {at}{to}")
            if len(calls) == kill and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **options)
            finally:  # also if it fails, like a mkdir of an existing folder
                if len(calls) == kill and when == "after":
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in WATCHED:
        setattr(os, name, watched(name))


def do(home: Home, asked: dict[str, Any]) -> tuple[int, str, list[str]]:
    """Do the request in this process."""
    os.environ.update(asked.get("environment", {}))
    if limit := asked.get("largest_file"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    calls: list[str] = []
    watch(calls, asked.get("kill", 0), asked.get("when", "before"))
    try:
        DEEDS[asked["do"]](home, asked)
    except DiscernError as error:
        return error.exit_code, str(error), calls
    return 0, "", calls


def main() -> None:
    home = Home.at(Path(sys.argv[1]))
    for line in sys.stdin:
        asked = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            code, said, calls = do(home, asked)
            with os.fdopen(write, "w") as answer:
                json.dump([said, calls], answer)
            os._exit(code)
        os.close(write)
        with os.fdopen(read) as answer:
            text = answer.read()
        _pid, status = os.waitpid(child, 0)
        said, calls = json.loads(text) if text else ("", [])
        code = os.waitstatus_to_exitcode(status)
        sys.stdout.write(json.dumps({"code": code, "said": said, "calls": calls}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
