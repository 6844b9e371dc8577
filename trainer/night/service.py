"""Install the system's timer for nights: a systemd user timer, a launchd agent or a crontab line.

Each runs `discern night --once` every hour, at the minute of `[night] time`. The ledger decides whether
a night is due, so one that was missed, interrupted or waiting for mains power runs within the hour.
Nothing is written before the user has seen it (`Installation.preview`), and everything written is found
by its name and can be removed completely. Only the user's own files are changed.

Sources: systemd.timer(5), systemd.service(5); launchd.plist(5); crontab(5).
"""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memory.errors import HomeError
from memory.files.atomic_write import write_whole
from memory.sentence import Sentence
from memory.settings.paths import Home, expanded
from memory.settings.settings import Settings

ServiceKind = Literal["systemd", "launchd", "cron"]
UNIT_NAME = "discern-night"
LAUNCHD_LABEL = "org.discern.night"
MARK = f"# {UNIT_NAME}"
_COMMAND_SECONDS = 20
_PLACES = ("DISCERN_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
"""Environment variables that locate the user's files; the timer must get the same values."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The files to write (for cron, a line), and the commands to run afterwards."""

    kind: ServiceKind
    files: tuple[tuple[Path, str], ...]
    line: str
    calls: tuple[tuple[str, ...], ...]

    @property
    def preview(self) -> str:
        """All of it as text, to show before installing."""
        parts = [f"{path}:\n{_indent(content)}" for path, content in self.files]
        if self.line:
            parts.append(f"one line in your crontab:\n{_indent(self.line)}")
        if self.calls:
            parts.append(
                "and then:\n" + _indent("\n".join(shlex.join(call) for call in self.calls))
            )
        return "\n\n".join(parts)


def detect() -> ServiceKind:
    """Return the kind of timer that this machine has.

    Raises:
        HomeError: it has none that can be used.
    """
    if sys.platform == "darwin" and shutil.which("launchctl"):
        return "launchd"
    if shutil.which("systemctl") and _call(("systemctl", "--user", "show-environment"))[0] == 0:
        return "systemd"
    if shutil.which("crontab"):
        return "cron"
    raise HomeError(
        "this machine has no user systemd, launchd or cron; leave a chat open at night, or keep "
        "`discern night` running in a terminal"
    )


def plan(kind: ServiceKind, home: Home, settings: Settings) -> Installation:
    """Return what installing a timer of `kind` would do."""
    command = [sys.executable, "-m", "tui", "night", "--once"]
    variables = {
        name: str(expanded(value).absolute()) for name in _PLACES if (value := os.environ.get(name))
    }
    minute = int(settings.night.time.split(":")[1])
    if kind == "systemd":
        folder = _units()
        reload = ("systemctl", "--user", "daemon-reload")
        enable = ("systemctl", "--user", "enable", "--now", f"{UNIT_NAME}.timer")
        files = (
            (folder / f"{UNIT_NAME}.service", _service(command, variables)),
            (folder / f"{UNIT_NAME}.timer", _timer(minute)),
        )
        return Installation(kind, files, "", (reload, enable))
    if kind == "launchd":
        path = _agent()
        content = plistlib.dumps(
            {
                "Label": LAUNCHD_LABEL,
                "ProgramArguments": command,
                "EnvironmentVariables": variables,
                "StartCalendarInterval": {"Minute": minute},
                "ProcessType": "Background",
                "StandardErrorPath": str(home.state / "night.log"),
            }
        ).decode()
        call = ("launchctl", "bootstrap", f"gui/{os.getuid()}", str(path))
        return Installation(kind, ((path, content),), "", (call,))
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    words += [shlex.quote(word) for word in command]
    line = " ".join(words).replace("%", "\\%")  # a bare % ends a command in a crontab
    return Installation(kind, (), f"{minute} * * * * {line} >/dev/null 2>&1 {MARK}", ())


def install(made: Installation) -> None:
    """Install a timer, replacing an existing one.

    Raises:
        HomeError: a file cannot be written or a command failed; the installation was undone.
    """
    uninstall(made.kind)
    try:
        for path, content in made.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content, mode=0o644)
        if made.line:
            _write_crontab([*_crontab(), made.line])
        for call in made.calls:
            code, said = _call(call)
            if code != 0:
                raise HomeError(
                    "`{call}` failed: {said}; nothing was installed; choose another method with "
                    "`discern night install --kind`",
                    call=shlex.join(call),
                    said=said or Sentence("exit code {code}", code=code),
                )
    except OSError as error:
        uninstall(made.kind)
        if isinstance(error, HomeError):
            raise
        raise HomeError(
            "cannot write {filename}: {strerror}; nothing was installed",
            filename=error.filename,
            strerror=error.strerror,
        ) from error


def uninstall(kind: ServiceKind | None = None) -> tuple[str, ...]:
    """Remove what `install` wrote, for one kind or for all; return what was removed."""
    removed: list[str] = []
    for one in (kind,) if kind else ("systemd", "launchd", "cron"):
        where = where_installed(one)
        if where is None:
            continue
        if one == "systemd":
            _call(("systemctl", "--user", "disable", "--now", f"{UNIT_NAME}.timer"))
        elif one == "launchd":
            _call(("launchctl", "bootout", f"gui/{os.getuid()}/{LAUNCHD_LABEL}"))
        if one == "cron":
            _write_crontab([line for line in _crontab() if not line.endswith(MARK)])
            removed.append(where)
        for path in _files(one):
            if path.exists():
                path.unlink()
                removed.append(str(path))
        if one == "systemd":
            _call(("systemctl", "--user", "daemon-reload"))
    return tuple(removed)


def where_installed(kind: ServiceKind) -> str | None:
    """Return where the timer of this kind is installed; None if it is not."""
    if kind == "cron":
        if not shutil.which("crontab"):
            return None
        try:
            return next((line for line in _crontab() if line.endswith(MARK)), None)
        except HomeError:
            return None
    return next((str(path) for path in reversed(_files(kind)) if path.exists()), None)


def state(kind: ServiceKind) -> str:
    """Return the status of the timer as the machine reports it, in a word."""
    if kind == "systemd":
        return _call(("systemctl", "--user", "is-active", f"{UNIT_NAME}.timer"))[1] or "unknown"
    if kind == "launchd":
        code, _said = _call(("launchctl", "print", f"gui/{os.getuid()}/{LAUNCHD_LABEL}"))
        return "active" if code == 0 else "inactive"
    return "active"


def _files(kind: ServiceKind) -> tuple[Path, ...]:
    if kind == "systemd":
        return _units() / f"{UNIT_NAME}.service", _units() / f"{UNIT_NAME}.timer"
    return (_agent(),) if kind == "launchd" else ()


def _units() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "systemd" / "user"


def _agent() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"


def _service(command: list[str], variables: dict[str, str]) -> str:
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()]
    # In commands, unlike in the environment, systemd expands variables after $.
    words = " ".join(_quoted(word).replace("$", "$$") for word in command)
    return "\n".join(
        [
            "[Unit]",
            "Description=Discern: learn from the differences that were marked",
            "",
            "[Service]",
            "Type=oneshot",
            *lines,
            f"ExecStart={words}",
            "Nice=10",
            "IOSchedulingClass=idle",
            "TimeoutStopSec=30",
            "",
        ]
    )


def _timer(minute: int) -> str:
    return "\n".join(
        [
            "[Unit]",
            "Description=Discern: look every hour whether a night is due",
            "",
            "[Timer]",
            f"OnCalendar=*-*-* *:{minute:02}:00",
            "Persistent=true",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _quoted(word: str) -> str:
    """Quote a word for systemd: in quotes, with backslashes, quotes and % doubled."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"'


def _crontab() -> list[str]:
    code, said = _call(("crontab", "-l"))
    if code != 0 and "no crontab" not in said.lower():
        # A crontab that cannot be read must not be overwritten.
        raise HomeError("cannot read your crontab: {said}; nothing was changed", said=said)
    return said.splitlines() if code == 0 else []


def _write_crontab(lines: list[str]) -> None:
    code, said = _call(("crontab", "-"), "".join(f"{line}\n" for line in lines))
    if code != 0:
        raise HomeError("cannot write your crontab: {said}; nothing was changed", said=said)


def _call(call: tuple[str, ...], written: str | None = None) -> tuple[int, str]:
    try:
        done = subprocess.run(
            call,
            input=written,
            stdin=subprocess.DEVNULL if written is None else None,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout.rstrip("\n") or done.stderr.strip()


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
