"""`discern completion`."""

from __future__ import annotations

import pytest

from tests.support.command_line import call


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(
    capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    code, out, _err = call(capsys, "completion", shell)
    assert code == 0
    assert "_DISCERN_COMPLETE" in out
