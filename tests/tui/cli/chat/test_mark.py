"""`discern mark` with several terminals: which reply it marks, and when it asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.reply_rules import parse_rule
from memory.settings.paths import Home
from tests.support.command_line import call

OURS, THEIRS = "What is the capital of Zubrowka?", "What is the capital of Kenya?"
MARK = ("mark", "--moment", "error", "--expected", "Lutz.")


def process(*words: str, elsewhere: bool) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, in our session or, with `elsewhere`, as in another terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=elsewhere,
        env=dict(os.environ),
        timeout=120,
    )


def asked(text: str, *, elsewhere: bool = False) -> Any:
    done = process("ask", text, "--json", elsewhere=elsewhere)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_last_reply_of_this_terminal_is_marked_and_named(
    configured: Home,
) -> None:
    asked(OURS)
    done = process(*MARK, elsewhere=False)
    assert done.returncode == 0
    assert f"for “{OURS}”" in done.stdout


def test_a_reply_of_another_recent_session_is_not_marked_without_asking(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = asked(OURS), asked(THEIRS, elsewhere=True)
    code, _out, err = call(capsys, *MARK)
    assert code == 2
    assert err.count("\n") == 1
    assert "the latest reply belongs to another session" in err
    assert f"“{THEIRS}”" in err
    assert f"--turn {ours['turn'][:8]} for the last reply of this session" in err
    code, out, _err = call(capsys, *MARK, "--turn", ours["turn"][:8])
    assert code == 0
    assert f"for “{OURS}”" in out
    code, out, _err = call(capsys, *MARK, "--last")
    assert code == 0
    assert f"for “{THEIRS}”" in out
    with Journal(configured.journal) as journal:
        marks = [item.turn for item in journal.differences.all()]
    assert marks == [ours["turn"], theirs["turn"]]
    assert call(capsys, *MARK, "--last", "--turn", "3fa9")[0] == 2


def test_after_a_minute_the_last_reply_of_any_session_is_marked(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = Turn(new_id(), "t", now(), THEIRS, "No.", "m", None)
    with Journal(configured.prepare().journal) as journal:
        journal.turns.add(turn, place="elsewhere")
        journal.facts.set("last thread", "t")
    code, _out, err = call(capsys, *MARK)
    assert code == 2
    assert "--turn ID for another" in err
    with Journal(configured.journal) as journal:
        old = replace(turn, id=new_id(), at=now() - timedelta(seconds=61))
        journal.turns.add(old, place="elsewhere")
    code, out, _err = call(capsys, *MARK)
    assert code == 0
    assert f"for “{THEIRS}”" in out


@pytest.mark.slow
def test_ask_continue_names_the_question_of_another_session_that_it_follows(
    configured: Home,
) -> None:
    thread = asked(THEIRS, elsewhere=True)["thread"]
    done = process("ask", "-c", "And the largest city?", "--json", elsewhere=False)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"discern: another session continued the thread {thread!r} ")
    assert done.stderr.endswith(f" s ago; your question follows “{THEIRS}”\n")
    assert json.loads(done.stdout)["thread"] == thread
    done = process("ask", "-c", "And the smallest?", elsewhere=False)
    assert done.stderr == ""
    with Journal(configured.journal) as journal:
        assert len(journal.branches.current(thread)) == 3


def test_ask_does_not_take_a_mark(configured: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("-c",), ("--thread", "t"), ()):
        code, out, err = call(capsys, "ask", *words, "/diff error => Lutz.")
        assert (code, out) == (2, "")
        assert "use `discern mark`" in err
    with Journal(configured.prepare().journal) as journal:
        assert journal.turns.all() == []
        assert journal.differences.all() == []


@pytest.mark.slow
def test_a_recent_mark_of_another_session_is_not_undone_without_asking(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(OURS)
    ours = json.loads(call(capsys, *MARK, "--json")[1])["id"]
    asked(THEIRS, elsewhere=True)
    theirs = json.loads(process(*MARK, "--last", "--json", elsewhere=True).stdout)["id"]
    code, _out, err = call(capsys, "memory", "undo")
    assert code == 2
    assert err.count("\n") == 1
    assert f"“{THEIRS}”" in err
    assert f"`discern memory undo {theirs[:8]}`" in err
    assert call(capsys, "memory", "undo", "")[0] == 2  # an empty variable names none
    assert call(capsys, "memory", "undo", theirs[:8])[0] == 0
    assert json.loads(call(capsys, "memory", "undo", "--json")[1])["undone"] == ours


@pytest.mark.parametrize("verb", [("mark",), ("memory", "edit", "3fa9")])
def test_a_misspelt_moment_gets_a_suggestion(
    configured: Home, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    code, _out, err = call(capsys, *verb, "--moment", "eror")
    assert code == 2
    assert "did you mean error?" in err


def test_a_misspelt_kind_gets_a_suggestion(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(OURS)
    code, _out, err = call(capsys, *MARK, "--kind", "tactical/facts")
    assert code == 2
    assert "did you mean tactical/fact?" in err


def test_json_says_what_was_superseded_and_what_teaches_nothing(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(OURS)
    wrong = json.loads(call(capsys, *MARK, "--json")[1])
    assert wrong["untaught"] is None
    assert wrong["replaces"] == []
    good = json.loads(call(capsys, "mark", "--moment", "hold", "--json")[1])
    assert good["replaces"] == [wrong["id"]]
    bare = json.loads(call(capsys, "mark", "--moment", "error", "--json")[1])
    assert bare["untaught"] == "bare"
    assert bare["replaces"] == [good["id"]]


def test_lessons_list_a_mark_that_teaches_nothing_with_its_reason(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = Turn(new_id(), "t", now(), OURS, "", "m", None)
    with Journal(configured.prepare().journal) as journal:
        journal.turns.add(turn)
    code, out, _err = call(capsys, "mark", "--moment", "hold", "--turn", turn.id)
    assert code == 0
    assert "It will not be trained on: the reply is empty" in out
    code, out, _err = call(capsys, "lessons")
    assert code == 0
    assert "the reply is empty, so there is nothing to keep" in out


def test_an_answer_too_long_for_a_lesson_is_reported_at_once(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(OURS)
    long = "It has many words. " * 120
    mark = ("mark", "--last", "--moment", "error", "--expected")
    code, out, _err = call(capsys, *mark, long)
    assert code == 0
    assert "It will not be trained on: the answer has" in out
    code, out, _err = call(capsys, *mark, long, "--json")
    assert code == 0
    said = json.loads(out)
    assert "a lesson holds at most" in said["too_long"]
    code, out, _err = call(capsys, "memory", "edit", said["id"], "--sounds", "Lutz.")
    assert "not be trained" not in out
    code, out, _err = call(capsys, "memory", "edit", said["id"], "--sounds", long)
    assert "It will not be trained on: the answer has" in out


RULED = "No lists; end with a question."


def test_a_mark_for_every_reply_is_in_the_context_of_the_next_question(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configured.settings_file.read_text()
    configured.settings_file.write_text(settings.replace("[model]", "[model]\ncontext = 2048"))
    call(capsys, "ask", OURS, "--no-recall")
    code, out, _err = call(
        capsys, "mark", "--moment", "surprise", "--note", RULED, "--scope", "everywhere"
    )
    assert code == 0
    assert "for every reply. It is in the context of these replies from now on" in out
    assert "`discern memory why` shows whether a reply kept: no lists; ends with a question." in out
    code, out, _err = call(capsys, "ask", THEIRS, "--json")
    answer = json.loads(out)
    identity = answer["recalled"][0]["id"]
    [traced] = json.loads(call(capsys, "memory", "why", "--json")[1])["recalled"]
    kept = [parse_rule(rule["rule"]).holds(answer["reply"]) for rule in traced["rules"]]
    assert [rule["kept"] for rule in traced["rules"]] == kept
    shown = call(capsys, "memory", "why")[1]
    for rule in traced["rules"]:
        assert f"{'✓' if rule['kept'] else '✗'} {rule['rule']}" in shown
    assert len(traced["rules"]) == 2
    assert "for every reply" in call(capsys, "memory", "show", identity)[1]
    assert "(for every reply) No lists; end" in call(capsys, "memory", "list")[1]
    assert "more than its question" in call(capsys, "lessons")[1]
    for words, message in (
        (("--scope", "when"), "the scope needs a condition"),
        (("--scope", "here", "--when", "I ask"), "does not go with the scope here"),
        (("--moment", "hold"), "a hold keeps one reply"),
    ):
        code, _out, err = call(capsys, "memory", "edit", identity, *words)
        assert code == 2
        assert message in err
    code, out, _err = call(capsys, "memory", "edit", identity, "--when", "I ask for code")
    assert "It applies when: I ask for code" in out
    call(capsys, "memory", "edit", identity, "--scope", "here")
    assert json.loads(call(capsys, "ask", THEIRS, "--json")[1])["recalled"] == []
