"""The recorder's clock: absolute deadlines, no drift and no burst."""

from __future__ import annotations

import pytest

from llem_runner.power.recorder_process import next_deadline


@pytest.mark.parametrize(
    ("now_s", "periods"),
    [(10.0, 1), (10.02, 1), (10.046, 1), (10.048, 2), (10.2, 5), (9.0, 1)],
)
def test_the_next_deadline_is_a_whole_number_of_periods_on_and_never_past(now_s: float, periods: int) -> None:
    deadline_s = next_deadline(10.0, 0.047, now_s)
    assert deadline_s == pytest.approx(10.0 + periods * 0.047)
    assert deadline_s > now_s
