"""The edit form of a difference keeps any text unchanged."""

from __future__ import annotations

import pytest

from memory.difference import Contrast, Difference, Moment, now
from memory.errors import MarkError
from memory.settings.paths import Home
from tui.cli.memory.edit_form import edited, read_form, values, write_form

HOSTILE = 'a "quoted" \\n back\\slash\n"""three"""\n[lost]\nlost = "x"\ttab \u00e9 ☃'


def difference(text: str) -> Difference:
    return Difference(
        "0123456789abcdef", "t", "main", now(), Moment.ERROR, "asked\nme", text,
        kind="tactical/fact", contrast=Contrast(text, None, text), note=text,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["plain", HOSTILE, "", "ends in\n", "\\", '"', "\n\nx"])
def test_a_form_that_is_saved_unchanged_changes_nothing(text: str) -> None:
    item = difference(text)
    assert read_form(write_form(item)) == values(item)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("missed = ", "Invalid value"),
        ('sound = "x"', "is not one of"),
        ("note = 3", "must be a quoted string"),
        ("[note]\nx = 1", "must be a quoted string"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(form: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_form(form)


def test_only_changed_fields_are_saved_and_an_invalid_form_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = difference(HOSTILE)
    editor = home.state / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i \'s/^kind = .*/kind = "tone"/\' "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setenv("EDITOR", str(editor))
    assert edited(item, home) == {"kind": "tone"}
    editor.write_text('#!/bin/sh\necho "broken =" >> "$1"\n')
    with pytest.raises(MarkError, match=r"edit-01234567\.toml"):
        edited(item, home)
    assert "broken =" in (home.state / "edit-01234567.toml").read_text()
