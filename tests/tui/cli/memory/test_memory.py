"""`discern memory` on a real home."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.command_line import call, said
from tui.cli.memory.group import memory as group

QUESTION = "What is the capital of Zubrowka?"


@pytest.fixture(autouse=True)
def quiet_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture
def kept(home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """A home with one turn and one mark of it."""
    home.settings_file.write_text(
        f'[model]\npath = "{tiny}"\n[sampling]\nmax_tokens = 8\ntemperature = 0.0\n'
        "[memory]\ndense = false\n"
    )
    said(capsys, "ask", QUESTION)
    mark: dict[str, Any] = said(
        capsys, "mark", "--moment", "error", "--kind", "fact", "--expected", "Lutz."
    )
    return mark


@pytest.mark.parametrize("verb", sorted(group.commands))
def test_every_command_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    code, out, _err = call(capsys, "memory", verb, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"discern memory {verb}" in out
    assert "--json" in out


def test_the_list_is_filtered(kept: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    def ids(*words: str) -> list[str]:
        return [item["id"] for item in said(capsys, "memory", "list", *words)]

    assert ids() == ids("--kind", "tactical") == ids("--kind", "fact") == [kept["id"]]
    assert ids("--text", "ZUBROWKA") == ids("--state", "waiting") == ids("--since", "2020-01-01")
    assert ids("--kind", "semantic") == ids("--state", "bare") == ids("--since", "2999-01-01") == []
    assert "No marks match (1 in total)" in call(capsys, "memory", "list", "--text", "nothing")[1]
    assert call(capsys, "memory", "list", "--kind", "nonsense")[0] == 2


def test_an_edit_creates_a_version_and_keeps_the_older_one(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    item = said(capsys, "memory", "edit", kept["id"][:8], "--sounds", "Lutz!", "--missed", "city")
    assert item["version"] == 2
    assert item["contrast"]["sounds"] == "Lutz!"
    cleared = said(capsys, "memory", "edit", kept["id"], "--missed", "")
    assert cleared["contrast"]["missed"] is None
    assert cleared["version"] == 3
    versions = said(capsys, "memory", "history", kept["id"])
    assert [version["contrast"]["sounds"] for version in versions] == ["Lutz.", "Lutz!", "Lutz!"]
    out = call(capsys, "memory", "history", kept["id"])[1]
    assert "(cleared)" in out
    assert out.count("version") == 3
    code, _out, err = call(capsys, "memory", "edit", kept["id"])
    assert code == 2
    assert "nothing to change" in err


def test_a_difference_is_pinned_and_unpinned(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "memory", "pin", kept["id"]) == {"id": kept["id"], "pinned": True}
    assert "⚑" in call(capsys, "memory", "list")[1]
    assert len(said(capsys, "memory", "list", "--state", "pinned")) == 1
    assert said(capsys, "memory", "unpin", kept["id"])["pinned"] is False


def test_one_difference_supersedes_another(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    newer = said(capsys, "mark", "--moment", "error", "--expected", "Nebelsbad.")
    said(capsys, "memory", "supersede", kept["id"], newer["id"])
    assert "superseded" in call(capsys, "memory", "list")[1]
    found = [item["id"] for item in said(capsys, "memory", "search", QUESTION)]
    assert newer["id"] in found
    assert kept["id"] not in found
    assert call(capsys, "memory", "supersede", newer["id"], newer["id"])[0] == 2
    assert call(capsys, "memory", "supersede", newer["id"], kept["id"])[0] == 2


def test_why_shows_what_was_recalled_for_a_reply(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = said(capsys, "ask", "capital of Zubrowka?")
    answer = said(capsys, "memory", "why")
    assert answer["turn"] == asked["turn"]
    assert answer["aside"] is None
    (part,) = answer["recalled"]
    assert part["id"] == kept["id"]
    assert part["score"] == asked["recalled"][0]["score"]
    assert part["matched"] == ["capital", "Zubrowka"]
    assert said(capsys, "memory", "show", kept["id"])["recalled"] == 1
    out = call(capsys, "memory", "why", asked["turn"][:8])[1]
    assert kept["id"][:8] in out
    assert "capital Zubrowka" in out
    code, _out, err = call(capsys, "memory", "why", "nothing")
    assert code == 2
    assert "no turn" in err


def test_undo_removes_the_mark_and_forget_also_the_turn(
    kept: dict[str, Any], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "memory", "undo")["undone"] == kept["id"]
    assert said(capsys, "memory", "list") == []
    again = said(capsys, "mark", "--moment", "error", "--expected", "Quxalotl.")
    assert said(capsys, "memory", "forget", again["id"])["forgotten"] == again["id"]
    left = b"".join(
        path.read_bytes() for path in home.data.glob("*.sqlite*") if ".before-" not in path.name
    )
    assert b"Zubrowka" not in left
    assert b"Quxalotl" not in left
    code, _out, err = call(capsys, "memory", "undo")
    assert code == 2
    assert "no mark to undo" in err


def test_forgetting_names_the_threads_in_which_it_was_recalled(
    kept: dict[str, Any], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recalled block is not stored, but a reply of the model that repeats it is."""
    said(capsys, "memory", "edit", kept["id"], "--note", "Quincunx.")
    for thread in ("one", "two"):
        code, out, _err = call(capsys, "ask", QUESTION, "--thread", thread, "--json")
        assert code == 0
        assert json.loads(out)["recalled"][0]["id"] == kept["id"]
    other = said(capsys, "mark", "--last", "--moment", "error", "--expected", "Nothing.")
    code, out, _err = call(capsys, "memory", "forget", kept["id"], "--yes")
    assert code == 0
    assert "2 other replies had it in context" in out
    assert "two, one" in out
    left = b"".join(path.read_bytes() for path in home.data.rglob("*") if path.is_file())
    assert b"uincunx" not in left
    code, out, _err = call(capsys, "memory", "forget", other["id"], "--yes")
    assert code == 0
    assert "had it in context" not in out


def test_forgetting_names_the_exported_copies(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "marks.jsonl"
    assert said(capsys, "memory", "export", str(copy))["differences"] == 1
    code, out, _err = call(capsys, "memory", "forget", kept["id"], "--yes")
    assert code == 0
    assert str(copy) in out.replace("\n", "")


def test_an_import_waits_until_it_is_confirmed(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "marks.jsonl"
    said(capsys, "memory", "export", str(copy))
    code, _out, err = call(capsys, "memory", "export", str(copy))
    assert code == 2
    assert "--force" in err
    said(capsys, "memory", "undo")
    batch = said(capsys, "memory", "import", str(copy))
    assert batch["count"] == 1
    assert said(capsys, "memory", "list") == []
    assert "memory confirm 2" in call(capsys, "memory", "import", str(copy))[1]
    assert len(said(capsys, "memory", "batches")) == 2
    assert said(capsys, "memory", "confirm", str(batch["id"]))["imported"] == 1
    (item,) = said(capsys, "memory", "list")
    assert item["contrast"]["sounds"] == "Lutz."
    (other,) = said(capsys, "memory", "batches")
    said(capsys, "memory", "reject", str(other["id"]))
    assert said(capsys, "memory", "batches") == []


def test_an_export_can_be_piped(kept: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    _code, out, _err = call(capsys, "memory", "export", "-")
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 2
    assert kept["id"] in out


def test_the_memory_is_backed_up_reindexed_and_checked(
    kept: dict[str, Any], home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = said(capsys, "memory", "backup", str(tmp_path / "copy.sqlite"))
    assert Path(made["path"]).stat().st_size == made["bytes"] > 0
    assert said(capsys, "memory", "check")["whole"] is True
    assert "No problems found: 1 mark." in call(capsys, "memory", "check")[1]
    code, _out, err = call(capsys, "memory", "rebuild")
    assert code == 2
    assert "memory.dense is false" in err
    home.settings_file.write_text(home.settings_file.read_text().replace("dense = false", ""))
    assert said(capsys, "memory", "rebuild") == {"rebuilt": 1}
    found = said(capsys, "memory", "search", QUESTION)
    assert found[0]["by_words_alone"] is False


def test_a_backup_is_restored_and_the_previous_journal_kept(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite"
    said(capsys, "memory", "backup", str(copy))
    said(capsys, "memory", "undo")
    done = said(capsys, "memory", "restore", str(copy))
    assert done["differences"] == 1
    assert Path(done["aside"]).exists()
    assert [item["id"] for item in said(capsys, "memory", "list")] == [kept["id"]]
    # Forgetting names the replaced journal, because it may contain the text.
    assert done["aside"] in said(capsys, "memory", "forget", kept["id"])["files"]
    assert call(capsys, "memory", "restore", str(tmp_path / "none.sqlite"))[0] == 2


def test_a_damaged_journal_is_found_by_the_check(
    kept: dict[str, Any], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal(home.journal) as journal, journal.transaction() as connection:
        connection.execute("delete from stems")
    code, out, _err = call(capsys, "memory", "check", "--json")
    assert code in (0, 1)
    assert json.loads(out)["findings"]


def test_a_contrast_that_the_model_cannot_draft_is_not_saved(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _err = call(capsys, "memory", "contrast", kept["id"], "--keep", "--json")
    answer = json.loads(out)
    assert code == 1
    assert answer["sounds"] is None
    assert answer["kept"] is False
    assert said(capsys, "memory", "show", kept["id"])["version"] == 1


def test_suggestions_need_some_turns_first(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "memory", "suggest") == []
    assert "No suggestions" in call(capsys, "memory", "suggest")[1]


def test_a_kind_is_shown_in_full_with_its_question_and_example(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _err = call(capsys, "memory", "kinds", "тон")
    assert code == 0
    assert "semantic/tone" in out
    assert "asks" in out
    assert "→" in out
    assert len(said(capsys, "memory", "kinds")) >= 35
    assert call(capsys, "memory", "kinds", "tonne")[0] == 2


def test_command_summaries_are_not_truncated(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("memory", "adapters", "model", "night"):
        assert "..." not in call(capsys, verb, "--help")[1].partition("Commands:")[2]
