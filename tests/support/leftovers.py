"""Search a folder for text that must have been removed."""

from __future__ import annotations

from pathlib import Path

SECRET = ("plugharness", "квазиморфный", "tessellar")


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def left_in(folder: Path, words: tuple[str, ...] = SECRET) -> list[str]:
    held = bytes_of(folder)
    forms = [(word, word.encode()) for word in words]
    forms += [(word, word.encode("unicode_escape")) for word in words]
    forms += [(word, word[:-3].encode()) for word in words]  # as a stem
    return [word for word, form in forms if form in held]
