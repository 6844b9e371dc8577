"""Untrusted files are read within limits, by one reader, without blocking."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memory.errors import FileError, SettingsError
from memory.files.bounded_read import (
    DEPTH,
    parse_json,
    parse_object,
    parse_toml,
    read_bytes,
    read_json,
    read_objects,
    read_text,
    read_toml,
)
from memory.kinds import kinds
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from memory.settings.settings_file import write_setting
from tests.support.kinds_cache import clear_kinds_cache
from tests.support.source_code import file_calls

Make = Callable[[Path], object]


def _of_three_gigabytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 3 << 30)


def _closed_to_us(path: Path) -> None:
    path.write_text("a = 1")
    path.chmod(0)


UNREADABLE: dict[str, tuple[Make, str]] = {
    "a pipe": (os.mkfifo, "it is a named pipe, not a file"),
    "a folder": (Path.mkdir, "it is a folder, not a file"),
    "a device": (
        lambda path: path.symlink_to("/dev/zero"),
        "it is a device or a socket, not a file",
    ),
    "three gigabytes": (
        _of_three_gigabytes,
        "it is 3,221.2 MB, more than the",
    ),
    "no text": (lambda path: path.write_bytes(b'a = "\xff"'), r"it is not UTF-8 text \(byte 6\)"),
    "UTF-16": (lambda path: path.write_bytes("a = 1".encode("utf-16")), "it is not UTF-8 text"),
    "links to itself": (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    "nothing that may be read": (
        _closed_to_us,
        "Permission denied",
    ),
}
"""Paths that cannot be read, and the reason in the error."""
NESTED = "[" * 100_000
DIGITS = "9" * 5_000


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("read", [read_text, read_json, read_toml])
def test_unreadable_files_are_refused_with_path_cause_and_fix(
    tmp_path: Path, read: Callable[[Path], object], name: str
) -> None:
    make, said = UNREADABLE[name]
    if name == "nothing that may be read" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = tmp_path / "file"
    make(path)
    with pytest.raises(FileError, match=said) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert re.search("; (fix or remove it|check its permissions)$", sentence)
    assert "\n" not in sentence


def test_a_name_with_a_nul_is_refused_and_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="NUL"):
        read_text(tmp_path / "a\0b")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "file" / "under")


def test_a_file_that_grows_while_it_is_read_is_no_larger_than_allowed(tmp_path: Path) -> None:
    # Its size is reported as 0, like that of a file that is still being written.
    with pytest.raises(FileError, match="more than the 0 MB allowed"):
        read_bytes(Path("/proc/self/maps"), 100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not valid JSON"),
        ("{", "it is not valid JSON"),
        (NESTED, "nested more than 64 levels"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "nested more than 64 levels"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested more than 64 levels"),
        (DIGITS, "a number with hundreds of digits"),
        (f'{{"a": [-{DIGITS}]}}', "a number with hundreds of digits"),
    ],
)
def test_json_beyond_the_limits_is_refused(text: str, said: str) -> None:
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match=said):
            parse_json(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = ", "it is not valid TOML"),
        (f"a = {NESTED}", "nested more than 64 levels"),
        ("a = " + "{b = " * 70 + "1" + "}" * 70, "nested more than 64 levels"),
        ("a." * 100 + "a = 1", "nested more than 64 levels"),
        (f"a = {DIGITS}", "a number with hundreds of digits"),
        (f"a = 0x{'f' * 5_000}", "a number with hundreds of digits"),
    ],
)
def test_toml_beyond_the_limits_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_toml(text)


def test_values_within_the_limits_are_read_unchanged() -> None:
    deep = "[" * DEPTH + "]" * DEPTH
    assert str(parse_json(deep)) == deep
    assert parse_json(b'\xef\xbb\xbf{"a": 12345678901234567890123}') == {
        "a": 12345678901234567890123
    }
    assert parse_toml("\ufeffa = 0xff") == {"a": 255}
    with pytest.raises(ValueError, match="not a JSON object"):
        parse_object("[]")


def test_lines_without_an_object_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [
        '\ufeff{"a": 1}',
        "[]",
        NESTED,
        "7",
        "\udcff",
        "",
        f'{{"a": {DIGITS}}}',
        '{"a": 2}',
        '{"a"',
    ]
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    assert list(read_objects(path)) == [{"a": 1}, {"a": 2}]
    assert list(read_objects(path, most=12)) == [{"a": 1}]


def person_file(home: Home, name: str) -> tuple[Path, Callable[[], object]]:
    """Return one of the user's files, and the function that reads it."""
    clear_kinds_cache()
    if name == "config.toml":
        return home.settings_file, lambda: read_settings(home)
    return home.config / name, lambda: kinds(home)


@pytest.mark.parametrize("name", ["config.toml", "kinds.toml"])
@pytest.mark.parametrize("what", UNREADABLE)
def test_a_user_file_that_is_not_a_file_is_refused(home: Home, name: str, what: str) -> None:
    make, said = UNREADABLE[what]
    if what == "nothing that may be read" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    path, read = person_file(home, name)
    make(path)
    with pytest.raises(SettingsError, match=said) as caught:
        read()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["config.toml", "kinds.toml"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"a = {NESTED}", "nested more than 64 levels"),
        (f"a = {DIGITS}", "a number with hundreds of digits"),
        (f"a = 0x{'f' * 5_000}", "a number with hundreds of digits"),
    ],
)
def test_settings_and_kinds_beyond_the_limits_are_refused(
    home: Home, name: str, text: str, said: str
) -> None:
    path, read = person_file(home, name)
    path.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        read()
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_byte_order_mark_in_settings_and_kinds_is_ignored(home: Home) -> None:
    path, _read = person_file(home, "kinds.toml")
    path.write_text('[tactical.mine]\nshows = "x"\n', encoding="utf-8-sig")
    assert "tactical/mine" in kinds(home)
    home.settings_file.write_text("[night]\nkeep = 7\n", encoding="utf-8-sig")
    assert read_settings(home).night.keep == 7
    write_setting(home, "night", "keep", 8)
    assert read_settings(home).night.keep == 8


@pytest.mark.parametrize("key", ["model.path", "trainer.command", "memory.embedder"])
def test_a_nul_in_a_setting_is_refused_with_its_key(home: Home, key: str) -> None:
    section, _, name = key.partition(".")
    home.settings_file.write_text(f'[{section}]\n{name} = "a\\u0000b"\n')
    with pytest.raises(SettingsError, match=f"{key} = .* without the character NUL; fix") as caught:
        read_settings(home)
    assert "\0" not in str(caught.value)


def test_a_refused_value_is_shown_shortened(home: Home) -> None:
    home.settings_file.write_text(f'[night]\nkeep = "{"x" * 100_000}"\n')
    with pytest.raises(SettingsError, match=r"night\.keep = 'xx") as caught:
        read_settings(home)
    assert len(str(caught.value)) < 400


# --- nothing else reads files ------------------------------------------------------------------------

OWN = ("__file__", "files(", "HERE", "STARTER", "/proc/", "/sys/")
"""Expressions of files that came with Discern or are the system's."""
MAY = {
    "memory/files/bounded_read.py": "the reader itself",
    "memory/journal/tables/turns.py": "columns of the journal",
    "memory/journal/tables/threads.py": "columns of the journal",
    "memory/journal/tables/write_marks.py": "columns of the journal",
    "memory/journal/tables/forgetting.py": "columns of the journal",
    "memory/transfer/import_export.py": "columns of the journal",
    "memory/journal/tables/exported_copies.py": "facts of the journal",
    "memory/journal/tables/facts.py": "facts of the journal",
    "agent/models/models.py": "the list that ships",
    "agent/models/pull.py": "model files",
    "trainer/lessons/rephrase.py": "lists that ship",
    "trainer/lessons/anchors/base_answers.py": "lists that ship",
    "trainer/lessons/entities/entity.py": "lists that ship",
    "trainer/gate/right_answers.py": "lists that ship",
    "trainer/fit/resume_training.py": "a header that safetensors has bounded; any error starts anew",
    "trainer/starter/": "makes the starter model from what ships",
}


def readings() -> Iterator[str]:
    """Yield each place outside `MAY` that reads or parses a file directly."""
    for path, called, node in file_calls():
        if path.startswith(tuple(MAY)):
            continue
        written = ast.unparse(node)
        reads = called in ("json.load", "json.loads", "tomllib.load", "tomllib.loads", "np.load")
        reads |= called.endswith((".read_text", ".read_bytes"))
        if called == "open" or (called.endswith(".open") and called[0].islower()):
            given = node.args[called == "open" :] or [ast.Constant("r")]
            reads |= isinstance(given[0], ast.Constant) and given[0].value in ("r", "rb")
        if called == "np.load":
            reads = "np.load(file," not in written  # `file` is one that `open_file` opened
        if reads and not any(own in written for own in OWN):
            yield f"{path}:{node.lineno}: {written[:90]}"


def test_files_of_others_are_read_by_the_bounded_reader_only() -> None:
    found = list(readings())
    assert not found, "\n".join(found)
