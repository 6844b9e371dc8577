"""Calls in the source code of the packages that may open a file, for tests of who opens what."""

from __future__ import annotations

import ast
from functools import cache

from tests.support.processes import ROOT

OPENING = (
    "open", "fdopen", "read_bytes", "read_text", "write_bytes", "write_text", "copy2", "copyfile",
    "copyfileobj", "copytree", "touch", "truncate", "mmap",
)  # fmt: skip
"""Functions and methods that open a file, whatever they belong to."""
NAMES = frozenset((*OPENING, "connect", "copy", "move", "load", "loads"))


@cache
def file_calls() -> tuple[tuple[str, str, ast.Call], ...]:
    """Return (path of the module, what is called, call) of each call of a function in `NAMES`."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), ast.unparse(node.func), node)
        for package in ("memory", "agent", "trainer", "tui")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in NAMES
    )
