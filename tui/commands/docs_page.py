"""Generate `docs/commands.md` from the registries of commands and keys.

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
        "Generated from `tui/commands/registry.py` and `tui/keys/registry.py`.",
    ]
    for command in COMMANDS:
        lines += ["", f"## `{command.usage}`", "", command.help]
        if command.aliases:
            lines += ["", "Also: " + ", ".join(f"`/{name}`" for name in command.aliases) + "."]
        if command.words:
            lines += ["", *(f"- `{word}`: {hint}" for word, hint in command.words)]
    lines += [
        "",
        "## Keys",
        "",
        "To remap an action, set its id in `[keys]` of `config.toml`.",
    ]
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
    lines += ["", "### Fixed keys", "", "| key | what it does |", "|---|---|"]
    lines += [f"| {keys} | {effect} |" for keys, effect in FIXED]
    lines += ["", "## Signs beside replies", "", "| sign | meaning |", "|---|---|"]
    lines += [f"| {status.sign} | {status.meaning} |" for status in MARK_STATUSES]
    lines += ["", "The color shows the family of the difference; the sign shows its status."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(commands_page())
