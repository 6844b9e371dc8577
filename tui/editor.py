"""A draft in the person's own editor: $VISUAL, else $EDITOR, else the first usual one found.

The draft stands in a private file while it is edited. Nothing is lost: where the editor is missing or
ends badly, the draft is what it was, and a text that could not be read back stays in its file, named.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from memory.errors import FileError, HomeError, SettingsError
from memory.places import persons_umask
from memory.reading import read_text

USUAL = ("nano", "vim", "vi")


def editor(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the editor's command with its arguments.

    Raises:
        SettingsError: none is set or found, or what is set cannot be read as a command.
    """
    for name in ("VISUAL", "EDITOR"):
        if not (said := environment.get(name, "").strip()):
            continue
        try:
            command = shlex.split(said)
        except ValueError as error:
            raise SettingsError(
                f"${name} is {said[:60]!r}, which cannot be read as a command ({error}); mend it, "
                'for example export EDITOR="vim"'
            ) from error
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise SettingsError(
                f"the editor {command[0][:60]!r} of ${name} was not found; install it or set ${name} "
                "to another"
            )
        return command
    for usual in USUAL:
        if shutil.which(usual, path=environment.get("PATH")):
            return [usual]
    raise SettingsError("no editor was found; set $EDITOR, for example export EDITOR=nano")


def edited(draft: str, command: list[str]) -> str:
    """Let a person edit the draft with `command` and return what came of it. Blocks till it ends.

    Raises:
        SettingsError: the editor cannot be started or ended with an error, or left no text behind.
        HomeError: there is no room for the draft.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="discern-"))  # readable by this person alone
    except OSError as error:
        raise _unwritten(error) from error
    path = folder / "draft.md"
    keep = False
    try:
        try:
            path.write_text(draft, encoding="utf-8")
        except OSError as error:
            raise _unwritten(error) from error
        try:
            call = [*command, str(path)]
            code = subprocess.run(call, check=False, umask=persons_umask()).returncode
        except OSError as error:
            raise SettingsError(
                f"the editor {command[0]} could not be started: {error.strerror}; the draft is as it "
                "was, set $EDITOR to another"
            ) from error
        if code != 0:
            keep = not _still(path, draft)
            where = f" what was written there is in {path}" if keep else " the draft is as it was"
            raise SettingsError(f"the editor {command[0]} ended with code {code};{where}")
        try:
            return read_text(path).replace("\r\n", "\n").removesuffix("\n")
        except (FileNotFoundError, FileError) as error:
            keep = path.exists()
            cause = error.cause if isinstance(error, FileError) else "it is gone"
            raise SettingsError(
                f"what the editor {command[0]} left in {path} cannot be read: {cause}; the draft is as "
                "it was"
            ) from error
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _still(path: Path, draft: str) -> bool:
    """Whether nothing else than the draft is there."""
    try:
        return read_text(path) == draft
    except FileNotFoundError:
        return True
    except FileError:
        return False


def _unwritten(error: OSError) -> HomeError:
    return HomeError(
        f"cannot write the draft for the editor into {tempfile.gettempdir()}: {error.strerror}; free "
        "some room there, or set TMPDIR to another folder"
    )
