"""The spread of the passes of one window."""

from __future__ import annotations

import statistics

import pytest

from llem_runner.contract.result import Pass
from llem_runner.metrics.scatter import passes_spread


def passes(*measured: tuple[float | None, int]) -> list[Pass]:
    return [
        Pass(start_unix_s=0.0, end_unix_s=1.0, energy_j=energy_j, output_tokens=tokens) for energy_j, tokens in measured
    ]


def test_claim_8_3_the_spread_is_of_energy_per_token_and_of_tokens_per_second_over_the_passes() -> None:
    spread = passes_spread(passes((100.0, 50), (110.0, 50), (60.0, 25)), [1.0, 1.1, 0.5])
    assert spread is not None
    per_token_j, tokens_per_s = [2.0, 2.2, 2.4], [50.0, 50 / 1.1, 50.0]
    assert spread.energy_per_output_token_cv == pytest.approx(
        statistics.stdev(per_token_j) / statistics.mean(per_token_j)
    )
    assert spread.output_tokens_per_s_cv == pytest.approx(
        statistics.stdev(tokens_per_s) / statistics.mean(tokens_per_s)
    )
    assert spread.n == 3


def test_claim_8_3_one_pass_has_no_spread() -> None:
    assert passes_spread(passes((100.0, 50)), [1.0]) is None


@pytest.mark.parametrize("second", [(None, 50), (100.0, 0)])
def test_claim_8_3_a_pass_of_unknown_energy_or_without_tokens_leaves_the_energys_spread_unknown(
    second: tuple[float | None, int],
) -> None:
    spread = passes_spread(passes((100.0, 50), second), [1.0, 1.0])
    assert spread is not None
    assert spread.energy_per_output_token_cv is None
    assert spread.output_tokens_per_s_cv is not None
    assert spread.n == 2


def test_claim_8_3_passes_without_any_token_have_no_spread_of_their_speed() -> None:
    spread = passes_spread(passes((1.0, 0), (1.0, 0)), [1.0, 1.0])
    assert spread is not None
    assert (spread.energy_per_output_token_cv, spread.output_tokens_per_s_cv) == (None, None)
