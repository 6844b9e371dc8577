"""File systems of a test's own, in a namespace of mounts."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def may_mount() -> bool:
    """Whether a namespace of mounts of our own can be had (as root, or as a user who may)."""
    tried = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        bool(shutil.which("unshare")) and not subprocess.run(tried, capture_output=True).returncode
    )


needs_mounts = pytest.mark.skipif(not may_mount(), reason="needs leave to mount")


def mounted(*commands: str) -> tuple[str, ...]:
    """Words that run what follows them where these mounts are made; they end with the process."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh")
