"""The entries of a training's log in words; sentences of the trainer come in as they were told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from memory.i18n.i18n import decimal, tr, trn
from memory.i18n.retold import retold
from tui.terminal.sanitize import one_line
from tui.training.progress import PHASES
from tui.training.state import Entry

REASONS = {
    "learnt": "all lessons came out right",
    "steps": "the steps were used up",
    "time": "the time was used up",
    "stopped": "it was stopped",
}
"""Why a try's training ended."""
VERDICTS = {
    "published": "published",
    "rejected": "not taken",
    "practised": "practised",
    "failed": "broke off",
}
"""How a run ended."""

NameOf = Callable[[str, str], str]
"""(difference, kind of lesson) → what it asks."""


def said(entry: Entry, name_of: NameOf) -> str:
    """Return an entry of the log in one line of words, safe to show."""
    words = _SAID.get(entry.what)
    if words is None:
        return one_line(_stage(entry))
    return one_line(words(entry.values, name_of))


def _stage(entry: Entry) -> str:
    label = tr(PHASES.get(entry.what, entry.what))
    total = int(entry.values.get("total", 0))
    if entry.what == "compose" and total:
        return trn(
            "composing lessons from {n} difference", "composing lessons from {n} differences", total
        )
    if entry.what == "load":
        number, rate = entry.values.get("attempt", 0), decimal(f"{entry.values.get('rate', 0.0):g}")
        return tr("try {number}, rate {rate}: loading the weights", number=number, rate=rate)
    return f"{label} ({decimal(f'{total:,}')})" if total else label


def _steps(values: Mapping[str, Any], _name_of: NameOf) -> str:
    threads = trn("{n} thread", "{n} threads", values["threads"])
    return tr(
        "learning in {steps} steps at most, {threads}, {precision}",
        **{**values, "threads": threads},
    )


def _step(values: Mapping[str, Any], _name_of: NameOf) -> str:
    loss, learnt = decimal(f"{values['loss']:.2f}"), f"{values['learnt']:.0%}"
    return tr(
        "step {step} of {steps}: loss {loss}, learnt {learnt}",
        **{**values, "loss": loss, "learnt": learnt},
    )


def _right(values: Mapping[str, Any], name_of: NameOf) -> str:
    return tr(
        "right for the first time: {asked}", asked=name_of(values["difference"], values["kind"])
    )


def _trained(values: Mapping[str, Any], _name_of: NameOf) -> str:
    reason = tr(REASONS.get(values["reason"], values["reason"]))
    return tr(
        "learning ended at step {step}: {reason}; learnt {learnt}",
        step=values["step"],
        reason=reason,
        learnt=f"{values['learnt']:.0%}",
    )


def _verdict(values: Mapping[str, Any], _name_of: NameOf) -> str:
    if values["passed"]:
        return tr("✓ passed: {sentence}", sentence=retold(values["sentence"]))
    return tr("✗ not passed: {sentence}", sentence=retold(values["sentence"]))


def _report(values: Mapping[str, Any], _name_of: NameOf) -> str:
    verdict = tr(VERDICTS.get(values["verdict"], values["verdict"]))
    return f"{verdict}: {retold(values['sentence'])}"


_SAID: Mapping[str, Callable[[Mapping[str, Any], NameOf], str]] = {
    "steps": _steps,
    "halved": lambda _values, _name_of: tr("memory is short: smaller parts at a time"),
    "step": _step,
    "right": _right,
    "trained": _trained,
    "verdict": _verdict,
    "report": _report,
}
