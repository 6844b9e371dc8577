"""File systems for single tests, in a mount namespace."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def may_mount() -> bool:
    """Whether this user may create a mount namespace."""
    tried = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        bool(shutil.which("unshare")) and not subprocess.run(tried, capture_output=True).returncode
    )


needs_mounts = pytest.mark.skipif(not may_mount(), reason="needs permission to mount")


def mounted(*commands: str) -> tuple[str, ...]:
    """Return a command prefix that makes these mounts for the command after it, until it ends."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh")
