"""Effect of training on each difference: its reply before and after, from the reports of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trainer.report.report import Fate, folders, read_report

MAX_REPORTS = 50
"""Maximum number of reports that are read, newest first."""


@dataclass(frozen=True, slots=True)
class TrainingEffect:
    """Result of one lesson of a difference in a training; `adapter` is None if none was made."""

    at: datetime
    adapter: str | None
    published: bool
    fate: Fate


def training_effects(runs: Path, wanted: Iterable[str]) -> Mapping[str, TrainingEffect]:
    """Return the latest training result of each difference in `wanted` that was ever trained.

    If a difference has several lessons, the result is that of one that failed, else the first.
    """
    missing, found = set(wanted), dict[str, TrainingEffect]()
    for folder in folders(runs)[:MAX_REPORTS]:
        if not missing:
            break
        report = read_report(folder)
        if report is None or report.verdict == "practised":
            continue
        published = report.verdict == "published"
        for fate in sorted(report.fates, key=lambda fate: fate.good):
            if fate.trained and fate.difference in missing:
                missing.discard(fate.difference)
                found[fate.difference] = TrainingEffect(
                    report.started, report.adapter, published, fate
                )
    return found
