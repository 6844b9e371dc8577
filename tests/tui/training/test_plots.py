"""Braille curves stay in their area, follow their values and have no holes."""

from __future__ import annotations

from tui.training.plots import draw_curve, spans_magnitudes


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    rows = draw_curve([0.0, 1.0], 6, 3, 0.0, 1.0)
    assert [len(row) for row in rows] == [6, 6, 6]
    assert rows[0].strip()
    assert rows[0].index(rows[0].strip()) >= 4
    assert rows[2][0] != " "
    assert rows[2][5] == " "


def test_a_steep_part_has_no_holes() -> None:
    rows = draw_curve([8.0, 0.0, 0.0, 0.0], 8, 6, 0.0, 8.0)
    assert all(row.strip() for row in rows)


def test_many_values_share_a_column_by_their_mean() -> None:
    flat = draw_curve([0.0, 1.0] * 500, 5, 4, 0.0, 1.0)
    assert sum(bool(row.strip()) for row in flat) <= 2


def test_nothing_to_draw_draws_nothing() -> None:
    assert draw_curve([], 3, 2, 0.0, 1.0) == ["   ", "   "]
    assert draw_curve([1.0], 0, 0, 0.0, 1.0) == []
    assert draw_curve([2.0, 2.0], 2, 1, 2.0, 2.0) != ["  "]


def test_values_far_apart_are_drawn_on_a_logarithmic_scale() -> None:
    assert spans_magnitudes([9.0, 0.1])
    assert not spans_magnitudes([9.0, 1.0])
    assert not spans_magnitudes([9.0, 0.0])
    assert not spans_magnitudes([])
