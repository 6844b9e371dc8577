"""Writing settings into the user's own `config.toml`, the rest of it left as it is.

New values are checked before, and the new text takes the file's place in one rename: all of them are in
it, or none, whatever is killed. Comments, order, line ends, the file's mode and a link to it are kept;
two processes that write wait for each other. A file whose way of writing a value is not understood here
(inline tables, dotted keys, values over several lines) is never guessed at: what came out is read again
and refused unless it says what was there and the new values, no more and no less.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from memory.errors import HomeError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import SMALL, parse_toml, read_text
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import read_settings

Value = str | int | float | bool
Values = Mapping[str, Mapping[str, Value]]
BEGIN = (
    "# Your own settings, over the shipped ones; `discern config show` prints what is in force.\n"
)
"""How a new file begins."""


def write_setting(home: Home, section: str, key: str, value: Value) -> None:
    """Set `section`.`key` in the user's file; see `write_settings`."""
    write_settings(home, {section: {key: value}})


def write_settings(home: Home, values: Values) -> None:
    """Set these (section → key → value) in the user's file, which is made when there is none.

    Raises:
        SettingsError: a key is unknown or a value out of range; nothing is written.
        HomeError: the file cannot be written, or is written so that only a person can change it.
    """
    read_settings(home, values)
    path = home.prepare().settings_file
    try:
        file = path.resolve()  # of a link, such as one into a folder of dotfiles, the end
        with _alone(file.parent):
            try:
                before = read_text(file, SMALL)
            except FileNotFoundError:
                before = None
            after = _changed(BEGIN if before is None else before, values)
            if after is None:
                raise HomeError(
                    "cannot set {values} in {path}: it is written there in a way that only "
                    "a person can change; set it by hand",
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
            "cannot set {values} in {path}: the value holds bytes that are no text (UTF-8); "
            "give the file another name",
            values=_names(values),
            path=path,
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        cause = error.strerror if isinstance(error, OSError) else Sentence("it is a link to itself")
        raise HomeError(
            "cannot write {path}: {cause}; check its permissions{more}",
            path=path,
            cause=cause,
            more=(
                Sentence(", or set {values} in it by hand", values=_names(values)) if values else ""
            ),
        ) from error


def _names(values: Values) -> str:
    return ", ".join(f"{section}.{key}" for section, keys in values.items() for key in keys)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes of ours from writing there; the lock goes with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _changed(text: str, values: Values) -> str | None:
    """Return the text with these values; None where that would say anything else, too."""
    wanted = parse_toml(text)
    end = "\r\n" if "\r\n" in text else "\n"
    for section, keys in values.items():
        wanted[section] = {**wanted.get(section, {}), **keys}
        for key, value in keys.items():
            text = _with(text, section, key, value, end)
    try:
        return text if parse_toml(text) == wanted else None
    except ValueError:
        return None


def _with(text: str, section: str, key: str, value: Value, end: str) -> str:
    line = f"{key} = {_toml(value)}"
    # Not `splitlines`: to TOML a form feed or a line separator ends no line.
    lines = [old.removesuffix("\r") for old in text.removesuffix("\n").split("\n")] if text else []
    here = False
    after = None
    for number, old in enumerate(lines):
        if header := re.match(r"\s*\[\s*([\"']?)([^\[\]]+?)\1\s*\]\s*(#.*)?$", old):
            here = header[2] == section
        if here and re.match(rf"\s*([\"']?){re.escape(key)}\1\s*=", old):
            comment = re.search(r"\s+#[^\"']*$", old)
            lines[number] = line + (comment[0] if comment else "")
            return end.join(lines) + end
        if here and old.strip() and not old.lstrip().startswith("#"):
            after = number  # comments may be on what comes next
    if after is not None:
        lines.insert(after + 1, line)
    else:
        lines += [""] * bool(lines) + [f"[{section}]", line]
    return end.join(lines) + end


def _toml(value: Value) -> str:
    # JSON's texts, numbers and booleans are TOML's, too, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
