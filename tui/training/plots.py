"""Draw curves with Braille characters, which have two by four dots per cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

ACROSS, DOWN = 2, 4
"""Dots per cell."""
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
STEEP = 20.0
"""Ratio of the largest to the smallest value above which the scale is logarithmic."""


def draw_curve(
    values: Sequence[float], width: int, height: int, low: float, high: float
) -> list[str]:
    """Return `height` lines of `width` cells with the values from left to right.

    `low` is at the bottom and `high` at the top.
    """
    columns, rows = width * ACROSS, height * DOWN
    cells = [[0] * width for _ in range(height)]
    before: int | None = None
    for x in range(columns if values and width > 0 and height > 0 else 0):
        share = (_at(values, x, columns) - low) / (high - low) if high > low else 0.5
        y = round((1 - min(1.0, max(0.0, share))) * (rows - 1))
        start = y if before is None else before + (y > before) - (y < before)
        for dot in range(min(start, y), max(start, y) + 1):  # steep parts are drawn without gaps
            cells[dot // DOWN][x // ACROSS] |= _BITS[x % ACROSS][dot % DOWN]
        before = y
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in cells]


def spans_magnitudes(values: Sequence[float]) -> bool:
    """Return whether the values are positive and span more than a factor of STEEP."""
    return min(values, default=0.0) > 0 and max(values) / min(values) > STEEP


def _at(values: Sequence[float], x: int, columns: int) -> float:
    """Return the value of a column: the mean of its values, or interpolated between two."""
    last = len(values) - 1
    first, after = x * last / columns, (x + 1) * last / columns
    if after - first >= 1:
        some = values[math.floor(first) : max(math.floor(first) + 1, math.ceil(after))]
        return sum(some) / len(some)
    place = x * last / max(1, columns - 1)
    under = min(math.floor(place), last)
    over = min(under + 1, last)
    return values[under] + (values[over] - values[under]) * (place - under)
