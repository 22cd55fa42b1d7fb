"""Durations and sizes, which have to fit into columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_background_job.ui.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0, "0.0s"),
        (4.23, "4.2s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (192, "3m12s"),
        (599.6, "10m"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86400, "1d00h"),
        (273600, "3d04h"),
        (8_640_000, "100d"),
    ],
)
def test_a_duration_is_exact_while_it_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(-10, 1e11))
def test_a_duration_has_at_most_six_characters(seconds: float) -> None:
    assert len(duration(seconds)) <= 6 or seconds > 99_999 * 86400


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0K"),
        (1536, "1.5K"),
        (850 << 10, "850K"),
        (3_565_158, "3.4M"),
        (12 << 20, "12M"),
        (999 << 20, "999M"),
        (1000 << 20, "1.0G"),
        (5 << 40, "5.0T"),
    ],
)
def test_a_size_has_two_digits_or_more(number: int, text: str) -> None:
    assert size(number) == text


@given(st.integers(0, 900 << 40))
def test_a_size_has_at_most_four_characters(number: int) -> None:
    assert len(size(number)) <= 4
