"""Write settings into the user's own `config.toml` and leave the rest of it as it is.

The values are validated first. The new text replaces the file in one rename, so a kill leaves either
all of the new values or none. Comments, order, line endings, the file's mode and a link to it are
kept; concurrent writers wait for each other. The result is parsed again and rejected unless it equals
the previous settings plus the new values.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from memory.errors import HomeError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import SMALL, parse_toml, read_text
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import read_settings

SettingValue = str | int | float | bool
Values = Mapping[str, Mapping[str, SettingValue]]
BEGIN = (
    "# Your own settings, over the shipped ones; `discern config show` prints what is in force.\n"
)
"""The beginning of a new file."""


def write_setting(home: Home, section: str, key: str, value: SettingValue) -> None:
    """Set `section`.`key` in the user's file; see `write_settings`."""
    write_settings(home, {section: {key: value}})


def write_settings(home: Home, values: Values) -> None:
    """Set these values (section → key → value) in the user's file, which is created if needed.

    Raises:
        SettingsError: a key is unknown or a value out of range; nothing is written.
        HomeError: the file cannot be written, or must be edited by hand.
    """
    read_settings(home, values)
    path = home.prepare().settings_file
    try:
        file = path.resolve()  # follow a link, such as one into a folder of dotfiles
        with _locked(file.parent):
            try:
                before = read_text(file, SMALL)
            except FileNotFoundError:
                before = None
            after = _changed(BEGIN if before is None else before, values)
            if after is None:
                raise HomeError(
                    "cannot set {values} in {path}: this part of the file cannot be edited "
                    "automatically; set it by hand",
                    values=_names(values),
                    path=path,
                )
            if after != before:
                mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o600
                write_whole(file, after.encode(), mode=mode)
    except HomeError:
        raise
    except UnicodeEncodeError as error:
        raise HomeError(
            "cannot set {values} in {path}: the value is not valid UTF-8; rename the file",
            values=_names(values),
            path=path,
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        cause = error.strerror if isinstance(error, OSError) else Sentence("it links to itself")
        if not values:
            raise HomeError(
                "cannot write {path}: {cause}; check its permissions", path=path, cause=cause
            ) from error
        raise HomeError(
            "cannot write {path}: {cause}; check its permissions, or set {values} in it by hand",
            path=path,
            cause=cause,
            values=_names(values),
        ) from error


def _names(values: Values) -> str:
    return ", ".join(f"{section}.{key}" for section, keys in values.items() for key in keys)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make other Discern processes wait.

    The folder itself is locked, so that no lock file appears among a user's own files.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_descriptor(descriptor)
        yield
    finally:
        os.close(descriptor)


def _changed(text: str, values: Values) -> str | None:
    """Return the text with these values; None where that would change anything else as well."""
    import tomlkit

    wanted = parse_toml(text)
    crlf = text.count("\r\n") == text.count("\n") > 0
    document = tomlkit.parse(text.replace("\r\n", "\n") if crlf else text)
    if text and not text.endswith("\n"):
        document.add(tomlkit.nl())
    for section, keys in values.items():
        wanted[section] = {**wanted.get(section, {}), **keys}
        if section not in document:
            if document.as_string():
                document.add(tomlkit.nl())
            document.add(section, tomlkit.table())
        for key, value in keys.items():
            _set(document[section], key, value)
    changed = tomlkit.dumps(document)
    if crlf:
        changed = changed.replace("\n", "\r\n")
    try:
        return changed if parse_toml(changed) == wanted else None
    except ValueError:
        return None


def _set(table: Any, key: str, value: SettingValue) -> None:
    """Set a key; a new one goes before the comments at the end, which may be about the next section."""
    from tomlkit.items import Table

    if not isinstance(table, Table) or key in table:
        table[key] = value
        return
    body = table.value.body
    end = max((place for place, (name, _) in enumerate(body, 1) if name is not None), default=0)
    comments = body[end:]
    del body[end:]
    table[key] = value
    body.extend(comments)
