"""Editing a draft in the user's editor: $VISUAL, $EDITOR, or the first common one that is found.

The draft is edited in a private file of the home. If the editor is missing or fails, the draft is
unchanged; text that cannot be read back stays in its file, and the error names it. The chat and the
editor lock the file's folder, so that the next chat can tell which drafts belong to a killed one
(`abandoned_drafts`).
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from filelock import lock_descriptor

from memory.errors import FileError, HomeError, SettingsError
from memory.files.bounded_read import read_text
from memory.sentence import Sentence
from memory.settings.paths import Home, private_folder, user_umask

COMMON = ("nano", "vim", "vi")
DRAFT_FILE = "draft.md"


def editor(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the editor's command with its arguments.

    Raises:
        SettingsError: none is set or found, or the setting is not a valid command.
    """
    for name in ("VISUAL", "EDITOR"):
        if not (said := environment.get(name, "").strip()):
            continue
        try:
            command = shlex.split(said)
        except ValueError as error:
            raise SettingsError(
                "${name} is {said!r}, which is not a valid command ({error}); fix it, for example "
                'export EDITOR="vim"',
                name=name,
                said=said[:60],
                error=error,
            ) from error
        if shutil.which(command[0], path=environment.get("PATH")) is None:
            raise SettingsError(
                "the editor {command!r} set in ${name} was not found; install it or set ${name} "
                "to another editor",
                command=command[0][:60],
                name=name,
            )
        return command
    for common in COMMON:
        if shutil.which(common, path=environment.get("PATH")):
            return [common]
    raise SettingsError("no editor found; set $EDITOR, for example export EDITOR=nano")


def edited(draft: str, command: list[str], drafts: Path) -> str:
    """Edit the draft with `command` and return the new text; block until the editor exits.

    The file is in a new folder inside `drafts`, which is created if needed.

    Raises:
        SettingsError: the editor cannot be started, fails, or leaves no text.
        HomeError: the draft cannot be written.
    """
    folder = drafts / secrets.token_hex(8)
    try:
        private_folder(drafts)
        private_folder(folder)
        lock = _lock_folder(folder)
    except OSError as error:
        raise _cannot_write(drafts, error) from error
    path = folder / DRAFT_FILE
    keep = False
    try:
        try:
            path.write_text(draft, encoding="utf-8")
        except OSError as error:
            raise _cannot_write(drafts, error) from error
        try:
            call = [*command, str(path)]
            # The editor holds the lock too: it may outlive the chat.
            code = subprocess.run(
                call, check=False, umask=user_umask(), pass_fds=[] if lock is None else [lock]
            ).returncode
        except OSError as error:
            raise SettingsError(
                "cannot start the editor {command}: {strerror}; the draft is unchanged; set "
                "$EDITOR to another editor",
                command=command[0],
                strerror=error.strerror,
            ) from error
        if code != 0:
            keep = not _is_unchanged(path, draft)
            if keep:
                raise SettingsError(
                    "the editor {command} exited with code {code}; your text is in {path}",
                    command=command[0],
                    code=code,
                    path=path,
                )
            raise SettingsError(
                "the editor {command} exited with code {code}; the draft is unchanged",
                command=command[0],
                code=code,
            )
        try:
            return read_text(path).replace("\r\n", "\n").removesuffix("\n")
        except (FileNotFoundError, FileError) as error:
            keep = path.exists()
            cause = (
                error.cause
                if isinstance(error, FileError)
                else Sentence("the file no longer exists")
            )
            raise SettingsError(
                "cannot read {path}, saved by the editor {command}: {cause}; the draft is "
                "unchanged",
                command=command[0],
                path=path,
                cause=cause,
            ) from error
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def abandoned_drafts(home: Home) -> Iterator[str]:
    """Yield the drafts of killed chats; each is removed when the next one is requested.

    A draft stays if it cannot be read, is still open in an editor, or is a link out of the home.
    """
    for path in sorted(home.drafts.glob(f"*/{DRAFT_FILE}")):
        folder = path.parent
        with suppress(OSError, FileError):
            if not home.holds(path) or (lock := _lock_folder(folder)) is None:
                continue
            try:
                text = read_text(path)
                if text.strip():
                    yield text.removesuffix("\n")
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _lock_folder(folder: Path) -> int | None:
    """Lock a folder and return the descriptor; None if the file system has no locks.

    Raises:
        OSError: it is not a folder; BlockingIOError if another process has the lock.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        locked = lock_descriptor(lock, blocking=False)
    except OSError:
        os.close(lock)
        return None
    if not locked:
        os.close(lock)
        raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), str(folder))
    return lock


def _is_unchanged(path: Path, draft: str) -> bool:
    """Return whether the file still has the original draft, or is gone."""
    try:
        return read_text(path) == draft
    except FileNotFoundError:
        return True
    except FileError:
        return False


def _cannot_write(drafts: Path, error: OSError) -> HomeError:
    return HomeError(
        "cannot write the draft for the editor to {drafts}: {strerror}; check the free space and "
        "permissions",
        drafts=drafts,
        strerror=error.strerror,
    )
