"""Read the lines of an untrusted file, one by one and within limits.

A file that is not regular or is too large (`memory/files/bounded_read.py`) is refused before it is
read; a line that is too long is refused with its number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from memory.errors import ExchangeError, FileError
from memory.files.bounded_read import LINE as LINE_CAP
from memory.files.bounded_read import open_file

_EVERY = 500

OnProgress = Callable[[int, int], None]


def lines_of(path: Path, most: int, progress: OnProgress | None) -> Iterator[tuple[int, bytes]]:
    """Yield (number, line) of each line that is not blank; the first line has number 1."""
    with _opened(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        read = number = 0
        try:
            while line := file.readline(LINE_CAP + 1):
                number += 1
                read += len(line)
                if len(line) > LINE_CAP:
                    raise ExchangeError(
                        "line {number} of {path} is longer than {most} MB; remove it",
                        number=number,
                        path=path,
                        most=LINE_CAP >> 20,
                    )
                if read > most:
                    raise _too_large(path, read, most)
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if (line := line.strip()) or number == 1:
                    yield number, line
                if progress and number % _EVERY == 0:
                    progress(read, size)
        except OSError as error:
            raise ExchangeError(
                "cannot read {path}: {strerror}", path=path, strerror=error.strerror
            ) from error
    if not number:
        raise ExchangeError("{path} is empty; export the file again", path=path)
    if progress:
        progress(read, read)


def _opened(path: Path, most: int) -> BufferedReader:
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        raise ExchangeError("there is no file {path}; check the path", path=path) from error
    except FileError as error:
        raise ExchangeError(
            "cannot read {path}: {cause}; choose a readable JSON Lines file",
            path=path,
            cause=error.cause,
        ) from error
    if (size := os.fstat(file.fileno()).st_size) > most:
        file.close()
        raise _too_large(path, size, most)
    return file


def _too_large(path: Path, size: int, most: int) -> ExchangeError:
    return ExchangeError(
        "{path} is {size:,.0f} MB, but an import can have at most {most:,.0f} MB; split it, or "
        "raise memory.import_max_mb in config.toml",
        path=path,
        size=size / 1e6,
        most=most / 1e6,
    )
