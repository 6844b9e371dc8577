"""System timers: installed units are read back as intended and removed completely.

`systemctl`, `launchctl` and `crontab` are stand-ins on the PATH here, which record their
calls (and keep a crontab); the real systemd-analyze also reads the unit files, if it is installed.
"""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from memory.errors import HomeError
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from trainer.night import service
from tui.cli.main import discern

CALLED = '#!/bin/sh\necho "$(basename "$0") $*" >> "$STANDIN_LOG"\n'
CRONTAB = (
    CALLED
    + """if [ "$1" = -l ]; then
    [ -e "$STANDIN_CRONTAB" ] || { echo "no crontab for you" >&2; exit 1; }
    cat "$STANDIN_CRONTAB"
else cat > "$STANDIN_CRONTAB"; fi
"""
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with all three tools, in a folder."""
    programs = tmp_path / "machine" / "bin"
    programs.mkdir(parents=True)
    for name, script in (("systemctl", CALLED), ("launchctl", CALLED), ("crontab", CRONTAB)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "machine" / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "machine" / "log"))
    monkeypatch.setenv("STANDIN_CRONTAB", str(tmp_path / "machine" / "crontab"))
    return tmp_path / "machine"


def calls(machine: Path) -> list[str]:
    return (machine / "log").read_text().splitlines()


def tree(machine: Path) -> list[str]:
    user = machine / "user"
    return sorted(str(path.relative_to(user)) for path in user.rglob("*") if path.is_file())


def run(*arguments: str, typed: str = "") -> str:
    done = CliRunner().invoke(discern, ["night", *arguments], input=typed, catch_exceptions=False)
    return done.output


def test_systemd_units_are_installed_and_removed(machine: Path) -> None:
    said = run("install", "--kind", "systemd", typed="y\n")
    assert "Persistent=true" in said.split("Install it?")[0]  # shown before the question
    assert tree(machine) == [
        ".config/systemd/user/discern-night.service",
        ".config/systemd/user/discern-night.timer",
    ]
    assert "systemctl --user enable --now discern-night.timer" in calls(machine)
    assert "Timer: systemd" in run("status")
    assert "discern-night.timer" in run("uninstall")
    assert tree(machine) == []
    assert "systemctl --user disable --now discern-night.timer" in calls(machine)
    assert "No timer is installed" in run("uninstall")


def test_declining_writes_nothing(machine: Path) -> None:
    assert "Nothing was installed." in run("install", "--kind", "systemd", typed="n\n")
    assert not (machine / "user").exists() or tree(machine) == []
    assert not (machine / "log").exists()


def test_systemd_accepts_the_units(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / 'a "strange" $home of 100%'
    monkeypatch.setenv("DISCERN_HOME", str(strange))
    home = Home.locate().prepare()
    made = service.plan("systemd", home, read_settings(home, {"night": {"time": "03:15"}}))
    files = {path.name: content for path, content in made.files}
    assert "OnCalendar=*-*-* *:15:00" in files["discern-night.timer"]
    assert (
        f'Environment="DISCERN_HOME={tmp_path}/a \\"strange\\" $home of 100%%"'
        in (files["discern-night.service"])
    )
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze to read them")
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    done = subprocess.run(
        [analyze, "verify", "--user", "--man=no", tmp_path / "discern-night.timer"],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "discern-night" in line]
    assert not ours
    calendar = subprocess.run(
        [analyze, "calendar", "*-*-* *:15:00"], capture_output=True, text=True, check=True
    )
    assert ":15:00" in calendar.stdout


def test_the_launchd_agent_is_a_readable_property_list(machine: Path, home: Home) -> None:
    run("install", "--kind", "launchd", "--yes")
    (path,) = tree(machine)
    assert path == "Library/LaunchAgents/org.discern.night.plist"
    agent = plistlib.loads((machine / "user" / path).read_bytes())
    assert agent["ProgramArguments"][-4:] == ["-m", "tui", "night", "--once"]
    assert agent["StartCalendarInterval"] == {"Minute": 15}
    assert agent["EnvironmentVariables"]["DISCERN_HOME"] == str(home.data)
    assert any(line.startswith("launchctl bootstrap gui/") for line in calls(machine))
    run("uninstall")
    assert tree(machine) == []
    assert any(line.startswith("launchctl bootout gui/") for line in calls(machine))


def test_cron_gets_one_line_beside_existing_ones(machine: Path) -> None:
    theirs = "0 5 * * 1 tar -zcf /var/backups/home.tgz /home/ # weekly\n\n@daily true\n"
    (machine / "crontab").write_text(theirs)
    for _time in range(2):  # installing again replaces it
        run("install", "--kind", "cron", "--yes")
        lines = (machine / "crontab").read_text().splitlines()
        assert sum(line.endswith("# discern-night") for line in lines) == 1
    assert lines[-1].startswith("15 * * * * DISCERN_HOME=")
    assert (machine / "crontab").read_text().startswith(theirs.rstrip("\n"))
    assert json.loads(run("status", "--json"))["timers"] == {"cron": "active"}
    run("uninstall")
    assert (machine / "crontab").read_text() == theirs


def test_the_cron_line_runs_the_command(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCERN_HOME", str(tmp_path / "a home of 100%"))
    home = Home.locate().prepare()
    made = service.plan("cron", home, read_settings(home, {"night": {"enabled": False}}))
    command = made.line.removeprefix("15 * * * * ").replace("\\%", "%")
    done = subprocess.run(
        ["sh", "-c", command.split(" >/dev/null")[0]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "No night is due" in done.stdout


def test_an_unreadable_crontab_is_not_overwritten(machine: Path) -> None:
    (machine / "bin" / "crontab").write_text("#!/bin/sh\necho 'you may not' >&2\nexit 1\n")
    home = Home.locate().prepare()
    with pytest.raises(HomeError, match="you may not"):
        service.install(service.plan("cron", home, read_settings(home)))


def test_a_timer_that_does_not_start_is_removed(machine: Path) -> None:
    (machine / "bin" / "systemctl").write_text("#!/bin/sh\necho 'no bus' >&2\nexit 1\n")
    home = Home.locate().prepare()
    with pytest.raises(HomeError, match="no bus"):
        service.install(service.plan("systemd", home, read_settings(home)))
    assert tree(machine) == []


def test_the_scheduler_of_the_system_is_detected_or_reported_missing(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert service.detect() == "systemd"
    (machine / "bin" / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    assert service.detect() == "cron"
    (machine / "bin" / "crontab").unlink()
    monkeypatch.setenv("PATH", str(machine / "bin"))
    with pytest.raises(HomeError, match="no user systemd, launchd or cron"):
        service.detect()


def test_status_shows_the_nights_and_their_outcomes(machine: Path, home: Home) -> None:
    from memory.journal.journal import Journal

    with Journal(home.journal) as journal:
        journal.nights.claim("2026-03-10", "here:1:1", stale_after=180, attempts=3)
        journal.nights.end(
            "2026-03-10", "here:1:1", "rejected", Sentence("The adapter was not taken.")
        )
    said = run("status")
    assert "2026-03-10  rejected  The adapter was not taken." in said
    assert "Timer: none" in said
    told = json.loads(run("status", "--json"))
    [night] = told["nights"]
    assert list(night) == [
        "sentences", "day", "state", "attempt", "started", "beat", "owner", "outcome",
    ]  # fmt: skip
    assert (night["state"], night["outcome"]) == ("rejected", "The adapter was not taken.")
    assert night["sentences"] == [{"template": "The adapter was not taken.", "values": {}}]
