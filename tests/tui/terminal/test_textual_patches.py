"""Private names of Textual: used in `tui/terminal/textual_patches` alone, with the version tested here.

Before changing a version, read what changed about the names that these modules use.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from textual.app import App
from textual.command import CommandPalette
from textual.driver import Driver
from textual.drivers.web_driver import WebDriver
from textual.message_pump import MessagePump
from textual.widgets import TextArea

import tui
from tui.terminal import textual_patches

ROOT = Path(__file__).parents[3]
PATCHES = textual_patches.__name__


def modules() -> Iterator[str]:
    """Yield the modules of the interface that are no patches."""
    for module in pkgutil.walk_packages(tui.__path__, "tui."):
        if not module.name.startswith(PATCHES) and not module.name.endswith("__main__"):
            yield module.name


@pytest.mark.parametrize(("package", "tested"), [("textual", "8.2.8"), ("textual-serve", "1.1.3")])
def test_the_installed_version_is_the_tested_one(package: str, tested: str) -> None:
    assert version(package) == tested
    assert re.search(f'"{package}=={re.escape(tested)}"', (ROOT / "pyproject.toml").read_text())
    assert f"{package}=={tested}" in (ROOT / "requirements.lock").read_text().splitlines()


@pytest.mark.parametrize("name", modules())
def test_no_other_module_imports_a_private_name_of_textual(name: str) -> None:
    tree = ast.parse(inspect.getsource(importlib.import_module(name)))
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "textual"
        for alias in node.names
        if "._" in f"{node.module}.{alias.name}"
    ]
    assert private == []


@pytest.mark.parametrize("name", modules())
def test_no_other_class_overrides_or_calls_a_private_method_of_textual(name: str) -> None:
    module = importlib.import_module(name)
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        kind = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not isinstance(kind, type):
            continue
        private = {
            member
            for base in kind.__mro__
            if base.__module__.startswith("textual.")
            for member in vars(base)
            if member.startswith("_") and not member.startswith("__")
        }
        used = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
        defined = {
            part.name
            for part in ast.walk(node)
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert private & (used | defined) == set(), kind


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (MessagePump, ("_dispatch_message",)),
        (App, ("_register_child", "_handle_exception", "_fatal_error", "_close_messages_no_wait")),
        (TextArea, ("_set_document", "_watch_show_vertical_scrollbar")),
        (
            CommandPalette,
            (
                "_GATHER_COMMANDS_GROUP",
                "_select_or_command",
                "_action_command_list",
                "_refresh_command_list",
            ),
        ),
    ],
)
def test_the_private_methods_exist(owner: type, names: tuple[str, ...]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (App, ("_exit", "_exit_renderables", "_filters", "_loop")),
        (MessagePump, ("_parent", "_closing", "_closed")),
        (Driver, ("_app",)),
        (WebDriver, ("_write",)),
    ],
)
def test_the_private_attributes_are_set(owner: type, names: tuple[str, ...]) -> None:
    source = "".join(inspect.getsource(base) for base in owner.__mro__ if base is not object)
    assert [name for name in names if f"self.{name}" not in source] == []
