"""A report as an HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.report import Report


def report_page(report: Report) -> str:
    """Return the page."""
    raise NotImplementedError
