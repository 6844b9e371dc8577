"""All commands print text through one function."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from agent.adapters import BaseEntry
from memory.difference import Contrast, Difference, Moment, State, Turn, new_id, now
from memory.journal.journal import Journal
from memory.sentence import verbatim
from memory.settings.paths import Home
from memory.settings.settings_file import write_setting
from memory.transfer.export_schema import header
from tests.support.exports import line
from tests.support.gguf_files import write_tiny
from tests.support.processes import ROOT
from tests.trainer.adapters.test_publish import candidate
from trainer.adapters import publish
from trainer.report.report import Beside, Change, Fate, Measure, Report
from tui.cli.main import discern, run
from tui.terminal.printing import Safe, echo, styled

EVIL = "ev\x1b[31mil\x1b]0;owned\x07\x9b2Jtext\u202eback\x1b[2K\x08"
UNSAFE = set("\x1b\x07\x9b\u202e\x08\r")
NOT_RUN = {
    "chat", "setup",  # Textual draws them: tests/tui/terminal/test_pty.py
    "web",  # prints only its address: tests/tui/web/test_server.py
    "demo", "starter build", "night install", "night uninstall",  # print nothing from outside
}  # fmt: skip


@pytest.fixture
def evil(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home in which all names and texts are hostile; returns the arguments of commands."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (tmp_path / f"{EVIL[:6]}folder").mkdir()
    model = tmp_path / f"{EVIL[:6]}folder" / f"{EVIL.replace('/', '')}.gguf"
    write_tiny(model, keys={"general.name": EVIL}, context=4096)
    turn = Turn(new_id(), EVIL, now(), EVIL, EVIL, EVIL)
    mark = Difference(
        id=new_id(), turn=turn.id, thread=EVIL, at=now(), moment=Moment.ERROR, asked=EVIL,
        replied=EVIL, kind="tactical/fact", contrast=Contrast(EVIL, EVIL, EVIL), note=EVIL,
        model=EVIL, state=State.WAITING,
    )  # fmt: skip
    other = replace(turn, id=new_id(), thread="t", recalled=(mark.id,))
    marks = [replace(mark, id=new_id(), turn=other.id, asked=f"{EVIL} {n}") for n in range(4)]
    with Journal(home.journal) as journal:
        journal.turns.add(turn)
        journal.differences.add(mark)
        journal.turns.add(other)
        for each in marks:
            journal.differences.add(each)
    report = Report(
        "rejected", verbatim(EVIL), now(), 1.0, EVIL, EVIL, run=EVIL,
        fates=(Fate(mark.id, "contrast", EVIL, EVIL, EVIL, EVIL, "repelled",
                    cause=verbatim(EVIL),
                    reworded=((EVIL, EVIL),), advice=verbatim(EVIL)),),
        measures=(Measure("lessons", 0, 1, False, verbatim(EVIL)),),
        changes=(Change(EVIL, EVIL, "x"),),
        notes=(verbatim(EVIL),), advice=(verbatim(EVIL),),
        beside=(Beside(verbatim(EVIL), 0, 0),),
    )  # fmt: skip
    folder = home.runs / "20260310T031500"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    adapter = publish.publish(home, publish.PublishRequest(
        candidate(tmp_path / "made", "x"), BaseEntry(sha256="b" * 64, name=EVIL),
        scale=0.5, fingerprints={EVIL: EVIL},
    ))  # fmt: skip
    write_setting(home, "chat", "system", EVIL)
    write_setting(home, "model", "path", str(model))
    batch = tmp_path / f"{EVIL}.jsonl"
    batch.write_text(
        f"{header(1)}\n{json.dumps(line(asked=EVIL, replied=EVIL, note=EVIL, model=EVIL))}\n"
    )
    return {
        "model": str(model), "mark": mark.id, "other": marks[0].id, "third": marks[1].id,
        "turn": other.id, "adapter": adapter.id, "batch": str(batch), "tmp": str(tmp_path),
    }  # fmt: skip


# The calls of each command: with existing values, and with one that is rejected.
CALLS: dict[str, list[list[str]]] = {
    "ask": [["hi", "--no-recall"], ["hi", "--model", EVIL], ["hi", "--thread", EVIL]],
    "mark": [["--moment", "hold", "--turn", "{turn}"], ["--moment", EVIL], ["--turn", EVIL]],
    "sessions list": [[], [EVIL]],
    "sessions show": [[EVIL], ["t"], ["no" + EVIL]],
    "sessions rename": [["t", "fine"], ["fine", EVIL], ["no" + EVIL, "x"]],
    "sessions export": [[EVIL, "{tmp}/\x1b[31mout.md"], [EVIL, "-"], [EVIL, "/no/" + EVIL]],
    "sessions delete": [["fine", "--yes"], ["no" + EVIL, "--yes"]],
    "memory list": [[], ["--state", EVIL], ["--kind", EVIL]],
    "memory search": [["evil text"], [EVIL]],
    "memory show": [["{mark}"], [EVIL]],
    "memory history": [["{mark}"], [EVIL]],
    "memory kinds": [[], [EVIL]],
    "memory why": [[], ["{turn}"], [EVIL]],
    "memory suggest": [[]],
    "memory edit": [["{mark}", "--note", EVIL], ["{mark}", "--kind", EVIL], [EVIL, "--note", "x"]],
    "memory contrast": [["{mark}"], [EVIL]],
    "memory pin": [["{mark}"], [EVIL]],
    "memory unpin": [["{mark}"], [EVIL]],
    "memory supersede": [["{other}", "{third}"], [EVIL, EVIL]],
    "memory check": [[]],
    "memory backup": [["{tmp}/\x1b[31mcopy.sqlite"], ["/no/" + EVIL]],
    "memory restore": [["{tmp}/\x1b[31mcopy.sqlite", "--yes"], ["/no/" + EVIL]],
    "memory rebuild": [[]],
    "memory export": [["{tmp}/\x1b[31mout.jsonl"], ["-"], ["/no/" + EVIL]],
    "memory import": [["{batch}"], ["/no/" + EVIL]],
    "memory batches": [[]],
    "memory confirm": [["1"], [EVIL]],
    "memory reject": [["1"], [EVIL]],
    "memory undo": [[], [EVIL]],
    "memory forget": [["{mark}", "--yes"], [EVIL, "--yes"]],
    "lessons": [[], [EVIL], ["--export", EVIL, "x"]],
    "train": [["watch"], [EVIL], ["--model", EVIL]],
    "night": [["--once", "--model", EVIL]],
    "night status": [[]],
    "report": [[], ["--list"], [EVIL], ["--html", "/no/" + EVIL]],
    "compare": [["base", "base+recall", "--prompt", EVIL], [EVIL, "base"]],
    "adapters list": [[]],
    "adapters use": [["{adapter}"], [EVIL]],
    "adapters pin": [["{adapter}"], [EVIL]],
    "adapters unpin": [["{adapter}"], [EVIL]],
    "adapters off": [[]],
    "adapters on": [[]],
    "adapters rollback": [[]],
    "export": [["--adapter", "/no/" + EVIL], ["--id", EVIL, "--adapter", "{tmp}/out"]],
    "model list": [[], ["--known"]],
    "model info": [[], ["{model}"], [EVIL]],
    "model use": [["{model}"], [EVIL]],
    "model pull": [[EVIL]],
    "model remove": [["{model}", "--yes"], [EVIL]],
    "config path": [[]],
    "config show": [[]],
    "doctor": [[], ["--model", EVIL]],
    "starter card": [[]],
    "completion": [["bash"], [EVIL]],
}


def verbs(group: click.Group, before: str = "") -> Iterator[str]:
    """Yield every command that has an action, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield f"{before}{name}"
            yield from verbs(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_no_command_prints_control_characters(
    evil: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(CALLS) == set(verbs(discern)) - NOT_RUN
    printed = 0
    for verb, calls in CALLS.items():
        for call in calls:
            words = [*verb.split(), *(word.format(**evil) for word in call)]
            for form in ([], ["--json"]):
                code = run([*words, *form])
                out, err = capsys.readouterr()
                assert code in (0, 1, 2), (words, code)
                assert "Traceback" not in err, (words, err)
                assert not UNSAFE & set(out + err), (words, out, err)
                printed += "evil" in out + err
    assert printed > 40  # the hostile text was really printed


@pytest.mark.slow
def test_a_training_on_hostile_marks_prints_no_control_characters(
    evil: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--force", "--steps", "4", "--dry-run"]) in (0, 1)
    out, err = capsys.readouterr()
    assert "evil" in out + err
    assert not UNSAFE & set(out + err), (out, err)


def test_only_the_printing_module_prints() -> None:
    prints = re.compile(r"click\.(echo|secho|confirm|style)\b|sys\.std(out|err)\.write|\bprint\(")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {text.strip()}"
        for path in sorted((ROOT / "tui").rglob("*.py"))
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if prints.search(text) and path.name != "printing.py"
    ]
    allowed = ("tui/app.py", "tui/commands/docs_page.py", "tui/cli/memory/transfer.py")
    assert [place for place in found if not place.startswith(allowed)] == []


def test_only_text_marked_safe_is_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    echo(
        "a\x1b[31mb",
        Safe("\x1b[K"),
        styled("c\x1b[2Jd", bold=True),
        f"{Safe(chr(7))}e",
        color=True,
    )
    assert capsys.readouterr().out == "ab\x1b[K\x1b[1mcd\x1b[0me\n"
