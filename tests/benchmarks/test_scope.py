"""The estimate of what a scope would change."""

from __future__ import annotations

from benchmarks.real_marks import real_marks
from benchmarks.scope import gated


def test_out_of_scope_messages_are_answered_by_the_base() -> None:
    [mark] = real_marks(1)
    asked, wording, near = mark.asked, mark.again[0], mark.near[0]
    base = {("efficacy", asked): True, **{("rephrasings", text): True for text in mark.again}}
    ours = {("rephrasings", wording): True, ("near", near): True, ("near", mark.near[1]): False}
    whole = gated([mark], base, ours, lambda text: True, dev=False)
    assert whole["efficacy"] == 1
    assert round(whole["rephrasings"], 2) == round(whole["near"], 2) == 0.67
    gate = gated([mark], base, ours, lambda text: text == asked, dev=False)
    assert gate == {"efficacy": 1, "rephrasings": 0, "near": 1, "unrelated": 1}
