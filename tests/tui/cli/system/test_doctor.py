"""`discern doctor`."""

from __future__ import annotations

import pytest

from memory.settings.paths import Home
from tests.support.command_line import call, said


def test_doctor_reports_what_it_found(configured: Home, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "doctor")
    assert found["ok"]
    assert {"python", "packages", "home", "journal", "model", "training", "adapter"} <= {
        item["what"] for item in found["findings"]
    }
    code, out, _err = call(capsys, "doctor", "--model", "/nowhere.gguf")
    assert code == 2
    assert "there is no model at /nowhere.gguf" in out
