"""Edit a difference as a small TOML form in the user's editor."""

from __future__ import annotations

import json

import click

from agent.forget.scrub_run_files import form_file
from memory.difference import Difference
from memory.errors import MarkError
from memory.files.atomic_write import scratch, write_whole
from memory.files.bounded_read import parse_toml, read_bytes
from memory.reply_rules import rules_of
from memory.settings.paths import Home
from tui.terminal.sanitize import one_line

FIELDS = ("moment", "kind", "note", "missed", "lost", "sounds", "scope", "condition", "rules")


def edited(item: Difference, home: Home) -> dict[str, str]:
    """Open the form in $EDITOR and return the changed fields, {} if none.

    Raises:
        MarkError: The saved form cannot be read. It is kept in a file that the message names.
    """
    before = values(item)
    form = write_form(item).encode()
    with scratch(home.prepare().state) as folder:  # leaves no text behind when killed
        path = folder / "form.toml"
        path.write_bytes(form)
        click.edit(filename=str(path))
        saved = read_bytes(path) if path.exists() else form
    if saved == form:
        return {}
    try:
        after = read_form(saved)
    except ValueError as error:
        path = form_file(home, item.id)
        write_whole(path, saved)
        raise MarkError(
            "cannot read the form: {error}; your edits are saved in {path} and the difference is "
            "unchanged",
            error=error,
            path=path,
        ) from error
    return {name: value for name, value in after.items() if value != before[name]}


def values(item: Difference) -> dict[str, str]:
    """Return the editable fields as shown in the form."""
    contrast = item.contrast
    raw = (
        item.moment.value, item.kind, item.note, contrast.missed, contrast.lost, contrast.sounds,
        item.scope.value, item.condition, "\n".join(map(str, rules_of(item))),
    )  # fmt: skip
    return {name: text or "" for name, text in zip(FIELDS, raw, strict=True)}


def write_form(item: Difference) -> str:
    """Return the form of a difference."""
    lines = [
        f"# Difference {item.id[:8]}",
        f"# message: {one_line(item.asked, 90)}",
        f"# reply:   {one_line(item.replied, 90)}",
        '# Save the file to apply your changes; "" clears a field. Leave it unchanged to cancel.',
        "",
    ]
    lines += [f"{name} = {_string(text)}" for name, text in values(item).items()]
    return "\n".join(lines) + "\n"


def read_form(text: str | bytes) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        ValueError: It is not TOML, or it has unknown fields or values that are not strings.
    """
    form = parse_toml(text)
    for name, value in form.items():
        if name not in FIELDS:
            raise ValueError(f"{name!r} is not one of {', '.join(FIELDS)}")
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a quoted string")
    return form


def _string(text: str) -> str:
    """Return a TOML string. TOML uses JSON's escapes; line breaks are kept."""
    lines = [json.dumps(line, ensure_ascii=False)[1:-1] for line in text.split("\n")]
    lines = [
        line.replace("\x7f", "\\u007f") for line in lines
    ]  # the only other control character that TOML escapes
    return f'"{lines[0]}"' if len(lines) == 1 else '"""\n' + "\n".join(lines) + '"""'
