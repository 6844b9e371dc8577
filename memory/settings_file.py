"""Writing one setting into the user's own `config.toml`, the rest of it left as it is.

The new value is checked before, and the new text takes the file's place in one rename. Comments and
order are kept.
"""

from __future__ import annotations

import json
import re

from memory.errors import HomeError
from memory.home import Home, read_settings

Value = str | int | float | bool


def write_setting(home: Home, section: str, key: str, value: Value) -> None:
    """Set `section`.`key` in the user's file, which is made when there is none.

    Raises:
        SettingsError: the key is unknown or the value out of range; nothing is written.
        HomeError: the file cannot be written.
    """
    read_settings(home, {section: {key: value}})
    path = home.prepare().settings_file
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        part = path.with_name(f".{path.name}.part")
        part.write_text(_with(text, section, key, value), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise HomeError(
            f"cannot write {path}: {error.strerror}; check its permissions, or set "
            f"{section}.{key} in it by hand"
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
