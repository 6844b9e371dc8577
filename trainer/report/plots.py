"""SVG drawings for the report's page: curves and bars, without scripts or external resources.

Colours are set by classes in `trainer/report/page.css`. Pure; every text is escaped here.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from memory.i18n.interface_language import decimal, tr

WIDTH, HEIGHT = 720, 170
LEFT, BOTTOM, TOP, RIGHT = 46, 22, 8, 12


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: (step, value) points, a CSS class for its colour, and its tooltip."""

    points: Sequence[tuple[float, float]]
    colour: str
    title: str


def safe(text: str) -> str:
    """Return text of any origin for HTML: escaped, without control, bidi or private characters."""
    kept = "".join(
        char
        for char in text.replace("\r\n", "\n")
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    return html.escape(kept, quote=True)


def curves(series: Sequence[Series], label: str, *, zero: bool = False, share: bool = False) -> str:
    """Return a chart of `series` over the steps; `label` describes it for screen readers.

    `zero` draws a line at 0, `share` fixes the range to 0…1 and writes percents.
    """
    points = [point for one in series for point in one.points if all(map(math.isfinite, point))]
    if not points:
        return ""
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    low, high = (0.0, 1.0) if share else _range([y for _, y in points], zero=zero)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1)
        up = (min(max(y, low), high) - low) / ((high - low) or 1)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP), 1),
        )

    parts: list[str] = []
    for value in _ticks(low, high):
        _, y = place(first, value)
        name = f"{value:.0%}" if share else decimal(f"{value:g}")
        kind = "zero" if zero and value == 0 else "axis"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{name}</text>')
    for step, anchor in ((first, "start"), (last, "end")):
        x, _ = place(step, low)
        at = tr("step {step}", step=f"{step:g}")
        parts.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="{anchor}">{at}</text>')
    for one in series:
        line = " ".join("{},{}".format(*place(x, y)) for x, y in one.points if math.isfinite(x * y))
        parts.append(
            f'<polyline class="curve {safe(one.colour)}" points="{line}">'
            f"<title>{safe(one.title)}</title></polyline>"
        )
    many = ' class="many"' if len(series) > 2 else ""
    return (
        f'<svg{many} viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{safe(label)}">{"".join(parts)}</svg>'
    )


def bar(share: float, colour: str = "", mark: float | None = None, width: int = 220) -> str:
    """Return a bar filled by `share` (0 to 1), with a vertical line at the threshold `mark`."""
    filled = round(width * min(1.0, max(0.0, share if math.isfinite(share) else 1.0)), 1)
    stroke = ""
    if mark is not None:
        x = round(width * min(1.0, max(0.0, mark)), 1)
        stroke = f'<line class="mark" x1="{x}" x2="{x}" y1="0" y2="10"/>'
    return (
        f'<svg viewBox="0 0 {width} 10" width="{width}" height="10" aria-hidden="true">'
        f'<rect class="trough" y="2" width="{width}" height="6" rx="3"/>'
        f'<rect class="fill {safe(colour)}" y="2" width="{filled}" height="6" rx="3"/>{stroke}</svg>'
    )


def _range(values: Sequence[float], *, zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if zero or low > 0:
        low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (low, low + 1)


def _ticks(low: float, high: float) -> list[float]:
    """Return some round values from `low` to `high`."""
    rough = (high - low) / 4
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
