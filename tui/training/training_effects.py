"""What each difference changed: the reply before and after, as the latest training that had it found.

Read from the reports that the runs left; a run without one (cut off, removed) says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trainer.report.report import Fate, folders, read_report

MOST = 50
"""Reports that are read at most, the latest."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One lesson of a difference as it came out of a training; `adapter` is None if none was made."""

    at: datetime
    adapter: str | None
    published: bool
    fate: Fate


def changed(runs: Path, wanted: Iterable[str]) -> Mapping[str, Changed]:
    """Return what the latest training found of each difference in `wanted` that was ever trained.

    Of several lessons of a difference the one that failed is told, else the first.
    """
    missing, found = set(wanted), dict[str, Changed]()
    for folder in folders(runs)[:MOST]:
        if not missing:
            break
        report = read_report(folder)
        if report is None or report.verdict == "practised":
            continue
        published = report.verdict == "published"
        for fate in sorted(report.fates, key=lambda fate: fate.good):
            if fate.trained and fate.difference in missing:
                missing.discard(fate.difference)
                found[fate.difference] = Changed(report.started, report.adapter, published, fate)
    return found
