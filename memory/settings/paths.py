"""Where the user's files are: XDG base directories, or one folder if `DISCERN_HOME` is set.

Nothing is written on import; `Home.prepare` creates the folders and refuses one that cannot be
written. Separate from the settings, so that it loads quickly: shell completion uses it at every Tab.

Source of the layout: XDG Base Directory Specification 0.8, through platformdirs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from memory.errors import HomeError


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one user; all absolute."""

    config: Path
    data: Path
    state: Path
    cache: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str] | None = None) -> Home:
        """Return the home that the environment selects, without touching the disk."""
        env = os.environ if environ is None else environ
        if root := env.get("DISCERN_HOME"):
            return cls.at(Path(root))
        dirs = PlatformDirs("discern", appauthor=False)
        return cls(
            dirs.user_config_path, dirs.user_data_path, dirs.user_state_path, dirs.user_cache_path
        )

    @classmethod
    def at(cls, root: Path) -> Home:
        """Return a home with everything in the one folder `root`.

        Raises:
            HomeError: it is in the home folder of a user who does not exist.
        """
        root = expanded(root)
        if root.parts[:1] and root.parts[0].startswith("~"):
            raise HomeError(
                "DISCERN_HOME is {root!r}, but there is no such user; use an absolute path",
                root=str(root),
            )
        root = root.absolute()
        return cls(root, root, root / "state", root / "cache")

    @property
    def settings_file(self) -> Path:
        """The user's own `config.toml`; need not exist."""
        return self.config / "config.toml"

    @property
    def journal(self) -> Path:
        """The SQLite file of turns, differences and nights."""
        return self.data / "journal.sqlite"

    @property
    def checkpoints(self) -> Path:
        """The SQLite file of the graph's checkpoints (open conversations)."""
        return self.data / "threads.sqlite"

    @property
    def index(self) -> Path:
        """The Chroma folder; rebuilt from the journal when missing."""
        return self.cache / "index"

    @property
    def adapters(self) -> Path:
        """The published adapters; only the trainer writes them."""
        return self.data / "adapters"

    @property
    def runs(self) -> Path:
        """One folder per training run: events, report, leftovers of a failed run."""
        return self.state / "runs"

    @property
    def drafts(self) -> Path:
        """Messages that are open in an editor, a folder each."""
        return self.state / "drafts"

    def holds(self, path: Path) -> bool:
        """Whether `path` is in this home with all links followed."""
        every = {self.config, self.data, self.state, self.cache}
        tops = [
            one for one in every if not any(one != two and one.is_relative_to(two) for two in every)
        ]
        try:
            real = path.resolve()
            return any(real.is_relative_to(top.resolve()) for top in tops)
        except (OSError, RuntimeError):  # a link to itself
            return False

    def prepare(self) -> Home:
        """Create the folders and return self. A missing cache is no error: it can be rebuilt.

        Raises:
            HomeError: a folder other than the cache cannot be created or written.
        """
        with suppress(OSError):
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.config, self.data, self.state):
            try:
                private_folder(folder)
            except OSError as error:
                raise HomeError(
                    "cannot create the folder {folder}: {strerror}; make its parent folder "
                    "writable or set DISCERN_HOME to another folder",
                    folder=folder,
                    strerror=error.strerror,
                ) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise HomeError(
                    "the folder {folder} is read-only, so nothing can be saved; make it writable, "
                    "or set DISCERN_HOME to another folder",
                    folder=folder,
                )
        return self


def private_folder(path: Path) -> None:
    """Create a folder for its owner alone, whatever the umask; an existing one is unchanged.

    Raises:
        OSError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, mode=_PRIVATE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(_PRIVATE)  # a umask may have removed permissions


def set_private_umask() -> None:
    """Set the umask so that what this process and its children write is readable by the owner alone.

    For our own programs; a library does not change the umask of its host.
    """
    global _theirs
    _theirs = os.umask(0o077)


def user_umask() -> int:
    """Return the umask that the user has set, for their editor and browser."""
    return _theirs


_PRIVATE = 0o700
_theirs = -1  # `subprocess` leaves it unchanged


def expanded(path: str | Path) -> Path:
    """Return a path with `~` and `~name` expanded.

    The name of an unknown user is left as it is, so that the caller reports a missing file;
    `Path.expanduser` would raise an error of its own.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above
