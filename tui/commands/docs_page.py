"""`docs/commands.md`, made from the registries of commands and keys.

python -m tui.commands.docs_page > docs/commands.md
"""

from __future__ import annotations

import sys

from tui.commands.registry import COMMANDS
from tui.keys.bindings import Keyboard
from tui.keys.registry import FIXED
from tui.views.mark_status import MARK_STATUSES


def commands_page() -> str:
    """Return the text of `docs/commands.md`."""
    lines = [
        "# Commands and keys of the chat",
        "",
        "Made from `tui/commands/registry.py` and `tui/keys/registry.py`; a test holds them together.",
    ]
    for command in COMMANDS:
        lines += ["", f"## `{command.usage}`", "", command.help]
        if command.aliases:
            lines += ["", "Also: " + ", ".join(f"`/{name}`" for name in command.aliases) + "."]
        if command.words:
            lines += ["", *(f"- `{word}`: {hint}" for word, hint in command.words)]
    lines += ["", "## Keys", "", "`[keys]` in `config.toml` gives an action other keys, by its id."]
    place = ""
    for where, identity, keys, effect in Keyboard().rows():
        if where != place:
            place = where
            lines += [
                "",
                f"### {where.capitalize()}",
                "",
                "| key | what it does | id |",
                "|---|---|---|",
            ]
        lines.append(f"| {keys} | {effect} | `{identity}` |")
    lines += ["", "### Keys that stay", "", "| key | what it does |", "|---|---|"]
    lines += [f"| {keys} | {effect} |" for keys, effect in FIXED]
    lines += ["", "## The sign beside a reply", "", "| sign | what it says |", "|---|---|"]
    lines += [f"| {status.sign} | {status.meaning} |" for status in MARK_STATUSES]
    lines += ["", "Its colour is the family of the difference; the sign alone says its fate."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(commands_page())
