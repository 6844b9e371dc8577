"""The thirty built-in kinds and those of the user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory.errors import MarkError, SettingsError
from memory.kinds import find_kind, kinds, require_kind
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.kinds_cache import clear_kinds_cache
from tests.support.values import make_turn
from tui.cli.main import run

OWN = """
[tactical.promise]
ru = "обещание"
shows = "It promises what it cannot do."
example = ["I will remind you tomorrow.", "I cannot remind you; put it into your calendar."]
ask = "Who will do it?"

[legal]
ru = "правовое"
shows = "Right in speech, wrong in law."
[legal.clause]
shows = "The clause is quoted without its exception."
"""


def own(home: Home, text: str) -> Path:
    path = home.config / "kinds.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_are_five_families_of_six_kinds_described_in_both_languages() -> None:
    every = list(kinds().values())
    types = [kind for kind in every if kind.type]
    families = [kind for kind in every if not kind.type]
    assert len(families) == 5
    assert len(types) == 30
    assert all(sum(kind.family == family.family for kind in types) == 6 for family in families)
    for kind in types:
        texts = [kind.shows, kind.ask, *kind.example]
        russian = [kind.russian, kind.russian_shows, kind.russian_ask, *kind.russian_example]
        assert len(kind.example) == len(kind.russian_example) == 2
        assert len(set(kind.example)) == 2
        assert all(texts)
        assert all(any("а" <= char <= "я" for char in text.lower()) for text in russian)
        assert not any("а" <= char <= "я" for text in texts for char in text.lower())
    names = [kind.russian for kind in every] + [kind.type or kind.family for kind in every]
    assert len(names) == len(set(names))


def test_a_kind_is_found_by_either_name_in_any_case() -> None:
    assert require_kind("факт").name == require_kind(" FACT ").name == "tactical/fact"
    assert find_kind("nothing of the sort") is None
    with pytest.raises(MarkError, match="did you mean tactical"):
        require_kind("tacticle")
    with pytest.raises(MarkError, match="lists the kinds") as refused:
        require_kind("x" * 5000)
    assert len(str(refused.value)) < 200


def test_user_kinds_are_added_to_the_built_in_ones(
    home: Home, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own(home, OWN)
    assert require_kind("обещание").name == "tactical/promise"
    assert require_kind("clause").shows == "The clause is quoted without its exception."
    assert [kind.name for kind in kinds().values() if kind.own] == (
        ["tactical/promise", "legal", "legal/clause"]
    )
    with Memory.open(home, settings, dense=False) as memory:
        assert memory.mark(make_turn(), MarkRequest("error", kind="clause")).kind == "legal/clause"
    assert run(["memory", "kinds", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "Right in speech, wrong in law." in [kind["shows"] for kind in listed]


def test_a_kind_whose_file_was_removed_is_still_shown(
    home: Home, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own(home, OWN)
    with Memory.open(home, settings, dense=False) as memory:
        identity = memory.mark(make_turn(), MarkRequest("error", kind="clause", sounds="So.")).id
    path.unlink()
    clear_kinds_cache()
    assert find_kind("clause") is None
    assert run(["memory", "show", identity]) == 0
    assert "legal/clause" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tactical", "is not valid TOML"),
        ("tactical = 3", "'tactical' must be a section"),
        ("[tactical]\nshows = 'x'", "[tactical] is a built-in family, so 'shows' cannot be set"),
        ("[tactical.fact]\nshows = 'x'", "tactical/fact has the name 'fact'"),
        ("[tactical.tone]\nshows = 'x'", "tactical/tone has the name 'tone'"),
        ("[legal]\nshows = 'x'\nru = 'факт'", "legal has the name 'факт'"),
        ("[tactical.promise]\nru = 'x'", "tactical.promise.shows is missing"),
        ("[tactical.promise]\nshows = 3", "tactical.promise.shows should be a valid string"),
        (
            "[tactical.promise]\nshows = ''",
            "tactical.promise.shows should have at least 1 character",
        ),
        ("[tactical.promise]\nshows = 'x'\ncolour = 'red'", "unknown key tactical.promise.colour"),
        (f"[tactical.promise]\nshows = '{'x' * 301}'", "should have at most 300 characters"),
        (f"[tactical.{'x' * 41}]\nshows = 'x'", "is not a valid name for a kind"),
        ("[tactical.Promise]\nshows = 'x'", "'Promise' is not a valid name for a kind"),
        ("[tactical.'a/b']\nshows = 'x'", "'a/b' is not a valid name for a kind"),
        ('[tactical.promise]\nshows = "\\u001b[2J"', "contains a control or invisible character"),
        ('[tactical.promise]\nshows = "\\u202ex"', "contains a control or invisible character"),
        ("[tactical.promise]\nshows = 'x'\nexample = ['one']", "should have at least 2 items"),
    ],
)
def test_an_unreadable_kinds_file_is_refused_with_one_sentence(
    home: Home, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = own(home, text)
    with pytest.raises(SettingsError) as refused:
        kinds()
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
    assert run(["memory", "kinds"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
