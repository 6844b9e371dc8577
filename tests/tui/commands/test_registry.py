"""The registry of slash commands."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from tui.chat.handlers.command_handlers import CommandHandlers
from tui.commands.completion import Sources, complete
from tui.commands.docs_page import commands_page
from tui.commands.registry import COMMANDS, find, parse


def test_every_command_has_a_handler_that_takes_its_argument() -> None:
    subjects = get_type_hints(CommandHandlers)
    for command in COMMANDS:
        subject, _, method = command.handler.partition(".")
        handler = getattr(subjects[subject], method)
        assert inspect.iscoroutinefunction(handler), command.name
        assert list(inspect.signature(handler).parameters)[1] == "argument", command.name
    named = {command.handler.partition(".")[0] for command in COMMANDS}
    assert named == set(subjects)


def test_names_and_aliases_are_unique_and_every_command_is_described() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    assert all(command.hint and command.help.endswith(".") for command in COMMANDS)
    assert {"diff", "undo", "train", "adapters", "recall", "why", "memory", "new", "threads"} < set(
        names
    )


@pytest.mark.parametrize(
    "message", ["hello", "", "what is a/b?", "/etc/hosts is what?", "/2 of it", " /diff"]
)
def test_text_that_is_not_a_command_is_a_message(message: str) -> None:
    assert parse(message) is None


def test_a_command_is_parsed_with_its_argument() -> None:
    parsed = parse("/diff error tactical => Shorter.")
    assert parsed is not None
    assert parsed.command is find("diff")
    assert parsed.argument == "error tactical => Shorter."
    below = parse("/diff\n=> Two\nlines")
    assert below is not None
    assert below.argument == "=> Two\nlines"
    assert find("?") is find("help")
    assert find("MARK") is find("diff")


def test_a_typo_is_answered_with_the_nearest_command() -> None:
    parsed = parse("/trian")
    assert parsed is not None
    assert parsed.command is None
    assert parsed.nearest == "train"
    nothing = parse("/xyzzyx")
    assert nothing is not None
    assert nothing.nearest is None


def test_names_are_completed_with_the_best_match_first() -> None:
    assert [item.text for item in complete("/di")] == ["/diff ", "/memory ", "/edit"]
    assert complete("/tr")[0].text == "/train "
    assert complete("/dff")[0].text == "/diff "
    assert len(complete("/")) == len(COMMANDS)
    assert complete("plain") == [] == complete("/diff\nerror")


def test_arguments_are_completed_from_the_registry_and_the_open_chat() -> None:
    kinds = [("tactical", ""), ("tactical/length", "")]
    known = Sources(
        kinds=lambda: kinds,
        adapters=lambda: [("abcd1234", "")],
        differences=lambda: [("12345678", "")],
        threads=lambda: [("2026-11-23 1", "")],
    )
    assert complete("/diff e", known)[0].text == "/diff error "
    assert [item.label for item in complete("/diff error tac", known)] == [
        "tactical",
        "tactical/length",
    ]
    assert complete("/diff error leng", known)[0].text == "/diff error tactical/length "
    assert complete("/diff too", known) == []
    assert complete("/diff error => tac", known) == []
    assert complete("/adapters use ab", known)[0].text == "/adapters use abcd1234"
    assert complete("/memory forget ", known)[0].text == "/memory forget 12345678"
    assert complete("/thread 2026-11-23", known)[0].text == "/thread 2026-11-23 1"
    assert [item.text for item in complete("/recall o", known)] == ["/recall on", "/recall off"]


def test_the_commands_page_matches_the_registry() -> None:
    page = Path(__file__).parents[3] / "docs" / "commands.md"
    assert page.read_text(encoding="utf-8") == commands_page()


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("he", "help"),
        ("keys", "help"),
        ("m", "memory"),
        ("mem", "memory"),
        ("cntr", "contrast"),
        ("tds", "threads"),
        ("search", "sessions"),
        ("quti", "quit"),
        ("exi", "quit"),
        ("learn", "train"),
    ],
)
def test_a_partial_or_misspelt_name_finds_its_command(typed: str, first: str) -> None:
    assert complete(f"/{typed}")[0].text.strip() == f"/{first}"


def test_a_kind_is_found_by_its_letters_in_order() -> None:
    known = Sources(kinds=lambda: [("tactical/commonplace", ""), ("tactical/step", "")])
    assert complete("/diff error cmn", known)[0].label == "tactical/commonplace"
    assert complete("/diff error too long and", known) == []
