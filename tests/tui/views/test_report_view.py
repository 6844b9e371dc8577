"""A report on the screen: its words, signs and width, and the effect of a mark."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from textual.content import Content

from memory.sentence import Sentence
from trainer.report.page import report_page
from trainer.report.report import Attempt, Beside, Change, Fate, Measure, Point, Report
from tui.cli.print_report import printed
from tui.terminal.themes import DARK, own_colours
from tui.training.before_and_after import training_effects
from tui.views.report_view import report_view

COLOURS = DARK.to_color_system().generate() | own_colours(DARK) | DARK.variables
AT = datetime(2026, 3, 10, 3, 15, tzinfo=UTC)
LEARNT = Fate("a" * 32, "contrast", "Who is it?", "Mirra.", "I don't know.", "Mirra.", "learnt")
FAILED = Fate(
    "b" * 32, "contrast", "Где 漢字?", "Там.", "Не знаю.", "Не знаю.", "repelled",
    reworded=(("А где?", "Нигде."),),
    cause=Sentence("too little"), advice=Sentence("say it in other words"),
)  # fmt: skip
REPORT = Report(
    verdict="rejected",
    sentence=Sentence("Learned 1 of 2 lessons."),
    started=AT,
    seconds=12.5,
    model="starter",
    adapter="c" * 64,
    fates=(LEARNT, LEARNT, FAILED, replace(FAILED, fate="it names no reply", cause=Sentence(""))),
    measures=(
        Measure("lessons", 0.5, 0.9, False, Sentence("lessons reproduced: 50% (at least 90%)")),
        Measure("perplexity", 0.02, 0.01, False, Sentence("perplexity: +2%"), warned=True),
        Measure("kl", 0.01, 0.05, True, Sentence("distance: 0.01")),
    ),
    changes=(Change("Unrelated?", "Yes.", "No."), Change("Wavering?", "a", "b", undecided=True)),
    curve=tuple(Point(step, 4.0 / step, step / 9) for step in range(1, 10)),
    phases=(("train", 12.0), ("gate", 0.01)),
    beside=(Beside(Sentence("base"), 0.0, 0.0), Beside(Sentence("this adapter"), 0.5, 0.25)),
    attempts=tuple(
        Attempt(
            n, 1e-3 / n, 1, 9 if n == 1 else 0, "steps", False, 1.0, Sentence("too far"), 0.5, 0.25
        )
        for n in (1, 2)
    ),
    notes=(Sentence("no better than recall"),),
    advice=(Sentence("mark it again"),),
)


def view(report: Report, width: int = 80) -> Content:
    return report_view(report, width, COLOURS)


@pytest.mark.parametrize("width", [40, 76, 100])
def test_nothing_is_wider_than_the_screen(width: int) -> None:
    for line in view(REPORT, width).split():
        assert line.cell_length <= width, line.plain


def test_every_colour_has_a_sign_with_the_same_meaning() -> None:
    lines = [line.plain for line in view(REPORT).split()]
    assert lines[0] == "✗ Rejected: current adapter unchanged"
    assert "! no better than recall" in lines
    assert "✗ lessons reproduced: 50% (at least 90%)" in lines
    assert "! perplexity: +2%" in lines
    assert "✓ distance: 0.01" in lines
    assert "→ mark it again" in lines
    assert "~ Unrelated?" in lines


def test_one_question_with_one_outcome_is_shown_once_and_a_failure_is_explained() -> None:
    text = view(REPORT).plain
    assert text.count("Who is it?") == 1
    assert "learned ×2" in text
    assert text.count("✗ Где 漢字?") == 1
    assert "not learned" in text
    for words in ("expected  Там.", "А где? → Нигде.", "why       too little", "say it in other"):
        assert words in text
    assert "· Где 漢字?" in text
    assert "it names no reply" in text
    assert "Wavering?" not in text


def test_missing_parts_of_a_report_have_no_heading() -> None:
    bare = Report("nothing", Sentence("Nothing changed."), AT, 0.0, "starter")
    assert view(bare).plain == "· Nothing to train\n  Nothing changed."


def test_the_command_line_shows_the_same_report_in_terminal_colours() -> None:
    hostile = replace(LEARNT, asked="[red]x[/]\x1b[2J", after="\x1b]52;c;eA==\x07y")
    report = replace(REPORT, fates=(LEARNT, FAILED, hostile))
    out = printed(report, 60)
    assert click.unstyle(out) == view(report, 60).plain
    codes = set(re.findall(r"\x1b[^m]*m", out))
    assert codes == {f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 36)}
    assert "\x1b" not in re.sub(r"\x1b\[\d+m", "", out)
    assert out.startswith("\x1b[31m\x1b[1m✗ Rejected")


def test_markup_and_control_characters_in_a_lesson_are_shown_as_text() -> None:
    hostile = replace(LEARNT, asked="[red]x[/]\x1b[2J", after="\x1b]52;c;eA==\x07[@click=q]y")
    beside = (Beside(Sentence("\x1b]0;x\x07\n[i]own"), 0.0, 0.0),)
    said = view(replace(REPORT, sentence=Sentence("\x1b[31m[b]s"), fates=(hostile,), beside=beside))
    assert "[red]x[/]" in said.plain
    assert "[@click=q]y" in said.plain
    assert "[b]s" in said.plain
    assert "[i]own" in said.plain
    assert "\x1b" not in said.plain
    assert "\x07" not in said.plain


def test_the_time_table_says_how_many_attempts_it_covers() -> None:
    several = replace(REPORT, estimated=(("train", 4.0),))
    assert "with 2 attempts" in view(several).plain
    assert "with 2 attempts" in report_page(several)
    single = replace(several, attempts=several.attempts[:1])
    assert "attempts" not in view(single).plain.split("Time")[-1]
    assert "with 1 attempt" not in report_page(single)


def test_the_effect_of_a_mark_comes_from_the_latest_training(tmp_path: Path) -> None:
    def run(day: int, **values: object) -> None:
        report = replace(REPORT, started=AT + timedelta(days=day), **values)  # type: ignore[arg-type]
        folder = tmp_path / f"2026031{day}T031500"
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps(report.to_json()))

    run(0)
    run(1, verdict="published", fates=(replace(LEARNT, fate="held"),))
    run(2, verdict="practised", fates=(replace(LEARNT, fate="lost again"),))
    (tmp_path / "20260314T031500").mkdir()  # an interrupted run
    found = training_effects(tmp_path, ["a" * 32, "b" * 32, "e" * 32])
    assert set(found) == {"a" * 32, "b" * 32}
    assert found["a" * 32].fate.fate == "held"
    assert found["a" * 32].published
    assert found["b" * 32].fate.fate == "repelled"
    assert not found["b" * 32].published
    assert training_effects(tmp_path / "none", ["a" * 32]) == {}
