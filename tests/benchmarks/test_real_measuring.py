"""The measurements on real weights, checked with the starter model, whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from benchmarks.real_marks import RealMark
from benchmarks.real_measuring import Measuring, Served, base_reply
from benchmarks.real_night import context_block, recall_block, texts_of
from benchmarks.recalling import write_differences
from memory.settings.paths import Home
from memory.settings.settings import Settings

KNOWN = "What is the capital of France?"
MARK = RealMark(
    "fact",
    "What is the capital of Zubrowka?",
    "The capital of Zubrowka is Lutz.",
    ("Lutz",),
    ("Tell me the capital of Zubrowka",),
    (KNOWN,),
)


@pytest.fixture(scope="module")
def model() -> Iterator[Engine]:
    with Engine.open(STARTER) as engine:
        yield engine


def measuring(model: Engine, mark: RealMark, served: Served) -> Measuring:
    return Measuring(model, [mark], served, lambda text: base_reply(model, text))


def test_the_base_gives_its_own_answers_and_none_of_the_marked_ones(model: Engine) -> None:
    row = measuring(model, MARK, Served())
    row.learnt()
    row.stayed(["What is 2 + 3?"])
    columns = row.found.columns()
    assert (columns["efficacy"], columns["rephrasings said"]) == (0, 0)
    assert (columns["near strict"], columns["unrelated strict"]) == (1, 1)
    assert (columns["near carried"], columns["kl"]) == (0, 0)
    assert [one.what for one in row.found.missed] == ["efficacy", "rephrasings"]


def test_an_expected_reply_counts_as_correct(model: Engine) -> None:
    said = base_reply(model, KNOWN).text
    mark = RealMark("fact", KNOWN, said, (said,), (), ())
    row = measuring(model, mark, Served())
    row.learnt()
    assert row.found.columns()["efficacy"] == row.found.columns()["efficacy said"] == 1


def test_recall_changes_the_answer_and_its_effect_is_counted(
    model: Engine, home: Home, settings: Settings
) -> None:
    made = MARK.marked(base_reply(model, MARK.asked).text)
    write_differences(home, [made])
    write_differences(home, [made])  # already known
    with recall_block(model, home, settings) as block:
        assert MARK.sounds in block(MARK.asked)
        row = measuring(model, MARK, Served(block=block))
        row.learnt()
        assert row.found.columns()["efficacy"] == 1
    with recall_block(model, home, settings, [made.id]) as block:
        assert block(MARK.asked) == ""  # the adapter has learned it
    row = measuring(model, MARK, Served(block=context_block(model, texts_of([MARK], [made]))))
    row.learnt()
    row.stayed(["What is 2 + 3?"])
    columns = row.found.columns()
    assert columns["efficacy"] == 1
    assert columns["unrelated strict"] == 1  # an unrelated question has no mark in its context
    near = [one.said for one in row.found.missed if one.what == "near"]
    assert columns["near carried"] == sum("Lutz" in said for said in near)


def test_the_conversation_is_run_to_its_end(model: Engine) -> None:
    row = measuring(model, MARK, Served())
    assert len(row.talk()) == 20
    assert "talk" not in row.found.columns()  # none of its questions belongs to this mark
    assert model.adapter is None
