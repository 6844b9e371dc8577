"""A report is read back unchanged, and its page is self-contained and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from memory.errors import UnknownIdError
from memory.i18n import interface_language
from memory.sentence import Sentence, verbatim
from trainer.report.page import report_page
from trainer.report.plots import Series, bar, curves
from trainer.report.report import (
    Attempt,
    Beside,
    Change,
    Fate,
    Measure,
    Point,
    Report,
    find_run,
    latest,
    read_report,
)
from tui.cli.print_report import printed

EVIL = (
    "</style><script>alert(1)</script>\x1b[2J\u202e<img src=x onerror=alert(1)> & \"quoted\" 'too'"
)
VOID = {"meta", "br", "img"}


def full() -> Report:
    """A report with everything in it, and hostile text wherever there is text of users or models."""
    fates = tuple(
        Fate(
            difference=f"{number}" * 16,
            kind="naming" if number == 3 else "contrast",
            asked=f"{number} {EVIL}",
            expected=EVIL,
            before=EVIL,
            after=EVIL,
            fate=fate,
            current=True,
            recall=False,
            reworded=((EVIL, EVIL),),
            cause=verbatim(EVIL),
            advice=verbatim(EVIL),
        )
        for number, fate in enumerate(("held", "learnt", "repelled", "lost again", "left out"))
    )
    curve = tuple(Point(step, 4 / step, step / 100) for step in range(1, 101))
    margins: dict[str, tuple[tuple[int, float], ...]] = {
        fate.difference: ((1, -2.0), (50, 0.5), (100, 3.0)) for fate in fates
    }
    tries = Attempt(
        1, 1e-3, 1, 100, "learnt", True, 0.7, verbatim(EVIL), 0.9, 0.8, curve, margins, True
    )
    return Report(
        verdict="rejected",
        sentence=verbatim(EVIL),
        started=datetime(2026, 3, 10, 3, 15).astimezone(),
        seconds=12.5,
        model=EVIL,
        scale=0.7,
        learning_rate=1e-3,
        fates=fates,
        measures=(
            Measure("lessons", 1.0, 0.9, True, Sentence("lessons reproduced: 100% (at least 90%)")),
            Measure("kl", 0.2, 0.05, False, Sentence("distance from the base"), True),
            Measure("perplexity", 0.02, 0.01, False, Sentence("perplexity"), True, warned=True),
            Measure("anchors", 0.97, 0.95, True, Sentence("unrelated answers"), True, strict=0.9),
        ),
        changes=(Change(EVIL, EVIL, EVIL), Change("b", "c", "", near=True, undecided=True)),
        curve=curve,
        phases=(("train", 9.0),),
        run="somewhere",
        beside=(Beside(Sentence("base"), 0.0, 0.1), Beside(Sentence("recall"), 0.9, 0.6)),
        attempts=(tries, replace(tries, number=2, chosen=False, margins=None)),
        notes=(verbatim(EVIL),),
        advice=(verbatim(EVIL),),
    )


class Page(HTMLParser):
    """Record every tag with its attributes, and check that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_report_survives_json() -> None:
    assert Report.from_json(full().to_json()) == full()


def test_a_report_of_another_version_is_read_as_far_as_possible() -> None:
    data = full().to_json()
    del data["beside"], data["attempts"], data["notes"]
    data["from_the_future"] = 1
    data["fates"][0]["mood"] = "fine"
    read = Report.from_json(data)
    assert read.beside == ()
    assert read.fates == full().fates


def test_the_page_is_well_formed_and_runs_or_loads_nothing() -> None:
    html = report_page(full())
    page = Page(html)
    assert page.open == []
    names = {name for name, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    for _name, attributes in page.tags:
        assert not {"src", "href", "style", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


def test_the_content_security_policy_allows_only_the_pages_own_style() -> None:
    html = report_page(full())
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(a["content"] for _, a in Page(html).tags if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert f"'sha256-{digest}'" in policy
    assert "prefers-color-scheme: dark" in style


@pytest.mark.parametrize("verdict", ["published", "practised", "failed", "nothing"])
def test_a_minimal_report_has_a_page(verdict: str) -> None:
    bare = Report(verdict, Sentence("So."), datetime(2026, 3, 10).astimezone(), 1.0, "m.gguf")  # type: ignore[arg-type]
    assert Page(report_page(bare)).open == []


def test_curves_accept_any_numbers() -> None:
    for points in (
        [],
        [(1, 2.0)],
        [(1, float("nan")), (2, 1.0)],
        [(1, -3.0), (2, 5.0)],
        [(1, 1e9), (2, float("inf"))],
        [(1, 0.0), (2, 0.0)],
    ):
        drawn = curves([Series(points, "calm", "x")], "x", zero=True)
        assert "nan" not in drawn
        assert "inf" not in drawn
    assert 'width="0.0"' in bar(-1)
    assert 'width="220.0"' in bar(float("inf"))


def test_runs_are_found_by_name_and_by_order(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("20260310T031500", "20260311T031500", "20260312T031500"):
        (runs / name).mkdir(parents=True)
    report = full()
    (runs / "20260311T031500" / "report.json").write_text(json.dumps(report.to_json()))
    assert latest(runs) == report
    assert find_run(runs, "last").name == "20260312T031500"
    assert find_run(runs, "-2").name == "20260311T031500"
    assert read_report(find_run(runs, "20260311")) == report
    assert read_report(find_run(runs, "20260310")) is None
    with pytest.raises(UnknownIdError, match="several runs"):
        find_run(runs, "202603")
    with pytest.raises(UnknownIdError, match="no run"):
        find_run(runs, "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "splendid"},
        {"fates": 3},
        {"fates": [{"difference": 7}]},
        {"started": "yesterday"},
        {"seconds": "long"},
        {"notes": "one"},
        {"attempts": [{"number": 1, "margins": [1]}]},
    ],
)
def test_a_report_with_values_of_wrong_types_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    (tmp_path / "report.json").write_text(json.dumps({**full().to_json(), **changes}))
    assert read_report(tmp_path) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 10**200])
def test_a_report_with_extreme_values_is_shown(value: float) -> None:
    report = full()
    beside = tuple(
        replace(row, lessons=value, rephrasings=value)
        for row in (*report.beside, Beside(Sentence("base"), 0.5, 0.5))
    )
    attempts = tuple(
        replace(one, curve=(Point(1, value, value), Point(2, 1.0, 0.5))) for one in report.attempts
    )
    odd = replace(report, beside=beside, attempts=attempts, curve=attempts[0].curve)
    assert printed(odd, 80)
    assert report_page(odd)


def test_a_report_written_in_english_is_shown_in_russian() -> None:
    advice = Sentence("raise training.{key} or run `discern train` again", key="max_steps")
    written = json.dumps(replace(full(), sentence=advice).to_json())
    assert json.loads(written)["sentence"] == str(advice)
    read = Report.from_json(written)
    assert read.sentence == advice
    interface_language.use("ru")
    assert str(advice) not in report_page(read)
    assert "training.max_steps" in report_page(read)


def test_a_report_of_an_earlier_version_is_shown_unchanged() -> None:
    old = json.loads(json.dumps(full().to_json()))
    del old["sentences"]
    for row in old["beside"]:
        del row["kind"]
    read = Report.from_json(old)
    assert read.measures[0].sentence == verbatim(str(full().measures[0].sentence))
    assert str(read.sentence) == EVIL
    interface_language.use("ru")
    assert "lessons reproduced" in report_page(read)
