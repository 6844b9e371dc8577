"""Writing settings into the user's own `config.toml`, the rest of it left as it is.

New values are checked before, and the new text takes the file's place in one rename: all of them are in
it, or none. Comments and order are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from memory.errors import HomeError
from memory.home import Home, read_settings

Value = str | int | float | bool
BEGIN = (
    "# Your own settings, over the shipped ones; `discern config show` prints what is in force.\n"
)
"""How a new file begins."""


def write_setting(home: Home, section: str, key: str, value: Value) -> None:
    """Set `section`.`key` in the user's file; see `write_settings`."""
    write_settings(home, {section: {key: value}})


def write_settings(home: Home, values: Mapping[str, Mapping[str, Value]]) -> None:
    """Set these (section → key → value) in the user's file, which is made when there is none.

    Raises:
        SettingsError: a key is unknown or a value out of range; nothing is written.
        HomeError: the file cannot be written.
    """
    read_settings(home, values)
    path = home.prepare().settings_file
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else BEGIN
        for section, keys in values.items():
            for key, value in keys.items():
                text = _with(text, section, key, value)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        names = ", ".join(f"{section}.{key}" for section, keys in values.items() for key in keys)
        raise HomeError(
            f"cannot write {path}: {error.strerror}; check its permissions"
            + (f", or set {names} in it by hand" if names else "")
        ) from error


def _with(text: str, section: str, key: str, value: Value) -> str:
    line = f"{key} = {_toml(value)}"
    lines = text.splitlines()
    here = False
    after = None
    for number, old in enumerate(lines):
        if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$", old):
            here = header[1] == section
        if here and re.match(rf"\s*{re.escape(key)}\s*=", old):
            comment = re.search(r"\s+#[^\"']*$", old)
            lines[number] = line + (comment[0] if comment else "")
            return "\n".join(lines) + "\n"
        if here and old.strip():
            after = number
    if after is not None:
        lines.insert(after + 1, line)
    else:
        lines += [""] * bool(lines) + [f"[{section}]", line]
    return "\n".join(lines) + "\n"


def _toml(value: Value) -> str:
    # JSON's texts, numbers and booleans are TOML's, too.
    return json.dumps(value, ensure_ascii=False)
