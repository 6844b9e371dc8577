"""Read files that others may have written: within limits, and without blocking.

A file must be a regular file and not larger than expected; a pipe is refused rather than waited for.
Text is UTF-8, with or without a byte-order mark. JSON and TOML may be nested `DEPTH` levels deep, and
their integers must be of moderate size. Everything that is read from a home, from a run that came
back from another machine or from another program's folder is read with these functions;
`tests/memory/files/test_bounded_read.py` searches the source for exceptions.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from memory.errors import ContentError, FileError
from memory.files.sqlite_file import refuse_open_file
from memory.sentence import Sentence

MAX_FILE_BYTES = 32 << 20
"""Default limit in bytes for a file that is read as a whole."""
SMALL = 1 << 20
"""Limit in bytes for handwritten or small files: settings, kinds, pointers."""
LINE = 8 << 20
"""Limit in bytes for a line."""
DEPTH = 64
"""Limit for the nesting of lists and objects."""
_LONGEST = 1_000  # bits of an integer: fits into a float and is printed quickly
_Value = TypeVar("_Value")


def open_file(path: Path, most: int | None = None) -> BufferedReader:
    """Open a regular file of at most `most` bytes.

    Raises:
        FileNotFoundError: it does not exist.
        FileError: it is not a regular file, is too large, or cannot be opened.
        HomeError: it belongs to an open journal, and only SQLite may open those.
    """
    refuse_open_file(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        raise _closed(path, error) from error
    except ValueError as error:
        raise _refused(path, Sentence("its name contains a NUL character")) from error
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and (most is None or about.st_size <= most):
        return open(descriptor, "rb")  # noqa: PTH123  (a path has no descriptor)
    os.close(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise _refused(path, _other(about.st_mode))
    raise _too_large(path, about.st_size, most or 0)


def read_bytes(path: Path, most: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a file. Raises as `open_file` does."""
    with open_file(path, most) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise _closed(path, error) from error
    if len(content) > most:  # it has grown, or has no size of its own, as under /proc
        raise _too_large(path, len(content), most)
    return content


def read_text(path: Path, most: int = MAX_FILE_BYTES) -> str:
    """Return the text of a file without its byte-order mark.

    Raises:
        FileNotFoundError: there is none.
        FileError: see `open_file`; or it is not UTF-8.
    """
    return _parsed(path, _text, read_bytes(path, most))


def read_json(path: Path, most: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """Return the JSON object that a file holds. Raises as `read_text` does, or if it holds none."""
    return _parsed(path, parse_object, read_bytes(path, most))


def read_toml(path: Path, most: int = SMALL) -> dict[str, Any]:
    """Return the table that a file of TOML holds. Raises as `read_text` does, or if it is no TOML."""
    return _parsed(path, parse_toml, read_bytes(path, most))


def read_objects(path: Path, most: int = MAX_FILE_BYTES) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file, up to `most` bytes.

    Lines that are not an object, such as a truncated one, are skipped. Raises as `open_file` does.
    """
    with open_file(path) as file:
        left = most
        while left > 0 and (line := file.readline(min(left, LINE))):
            left -= len(line)
            try:
                yield parse_object(line)
            except ValueError:
                continue


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ContentError: it is not JSON, or nested too deeply; the error names the cause.
    """
    return _within_limits(json.loads, _text(text), "JSON")


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return the object of a JSON text. Raises as `parse_json` does, or if it is something else."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ContentError("it is not a JSON object")
    return value


def parse_toml(text: str | bytes) -> dict[str, Any]:
    """Return the table of a TOML text.

    Raises:
        ContentError: it is not TOML, or nested too deeply; the error names the cause.
    """
    table: dict[str, Any] = _within_limits(tomllib.loads, _text(text), "TOML")
    return table


def _text(content: str | bytes) -> str:
    try:
        text = content.decode() if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise ContentError("it is not UTF-8 text (byte {start})", start=error.start + 1) from None
    return text.removeprefix("\ufeff")


def _within_limits(parse: Callable[[str], Any], text: str, form: str) -> Any:
    deep = ContentError("it is nested more than {depth} levels deep", depth=DEPTH)
    long = ContentError("it contains a number with hundreds of digits")
    try:
        value = parse(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ContentError("it is not valid {form}: {error}", form=form, error=error) from error
    except RecursionError:
        raise deep from None
    except ValueError:  # Python's own limit on digits
        raise long from None
    level = [value]
    for _depth in range(DEPTH + 1):
        if any(isinstance(item, int) and item.bit_length() > _LONGEST for item in level):
            raise long
        holding = [item for item in level if isinstance(item, (dict, list))]
        if not holding:
            return value
        level = [
            inner
            for item in holding
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    raise deep


def _parsed(path: Path, parse: Callable[[bytes], _Value], content: bytes) -> _Value:
    try:
        return parse(content)
    except ValueError as error:
        raise _refused(path, error) from error


def _other(mode: int) -> Sentence:
    if stat.S_ISDIR(mode):
        return Sentence("it is a folder, not a file")
    if stat.S_ISFIFO(mode):
        return Sentence("it is a named pipe, not a file")
    return Sentence("it is a device or a socket, not a file")


def _closed(path: Path, error: OSError) -> FileError:
    cause = error.strerror or str(error)
    return FileError("cannot read {path}: {cause}; check its permissions", path=path, cause=cause)


def _too_large(path: Path, size: int, most: int) -> FileError:
    cause = Sentence(
        "it is {many:,.1f} MB, more than the {few:,.0f} MB allowed",
        many=size / 1e6,
        few=most / 1e6,
    )
    return _refused(path, cause)


def _refused(path: Path, cause: Sentence | ValueError) -> FileError:
    return FileError("cannot read {path}: {cause}; fix or remove it", path=path, cause=cause)
