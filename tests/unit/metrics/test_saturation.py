"""How long enough requests were running, from made-up times."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.backends.protocol import RequestOutput
from llem_runner.metrics.saturation import saturated_share


def request(started_s: float, finished_s: float, **keys: Any) -> RequestOutput:
    times: dict[str, Any] = {"first_token_s": started_s, **keys}
    return RequestOutput((1,), 1, started_s=started_s, finished_s=finished_s, **times)


def share(requests: list[RequestOutput], batch: int, prompts: int = 100) -> float | None:
    return saturated_share(requests, batch, prompts, 0.0, 10.0)


@pytest.mark.parametrize(
    ("ends_s", "batch", "expected"),
    [
        ([10.0] * 5, 5, 1.0),
        # 4 of 5 are 80 %: enough until the second has ended.
        ([3.0, 6.0, 10.0, 10.0, 10.0], 5, 0.6),
        # 3 of 4 are not: enough until the first has ended.
        ([3.0, 6.0, 10.0, 10.0], 4, 0.3),
        ([7.0], 1, 0.7),
        # Four of a batch of 8 are never enough.
        ([10.0] * 4, 8, 0.0),
    ],
)
def test_claim_8_7_time_counts_while_80_percent_of_the_batch_run(
    ends_s: list[float], batch: int, expected: float
) -> None:
    assert share([request(0.0, end_s) for end_s in ends_s], batch) == pytest.approx(expected)


def test_claim_8_7_fewer_prompts_than_the_batch_are_full_when_all_of_them_run() -> None:
    assert share([request(0.0, 10.0)] * 4, batch=8, prompts=4) == pytest.approx(1.0)


def test_claim_8_7_batches_follow_each_other_and_the_gap_between_them_is_not_full() -> None:
    first, second = [request(0.0, 4.0)] * 2, [request(5.0, 10.0)] * 2
    assert share([*second, *first], batch=2) == pytest.approx(0.9)
    assert share([*first, *[request(4.0, 10.0)] * 2], batch=2) == pytest.approx(1.0)


def test_claim_8_7_a_request_runs_after_its_queue() -> None:
    waiting = request(0.0, 10.0, queued_s=5.0)
    assert share([request(0.0, 5.0, queued_s=0.0), waiting], batch=1) == pytest.approx(1.0)
    assert share([waiting], batch=1) == pytest.approx(0.5)


def test_claim_8_7_only_the_window_counts() -> None:
    assert share([request(-5.0, 5.0)], batch=1) == pytest.approx(0.5)
    assert share([request(5.0, 15.0)], batch=1) == pytest.approx(0.5)


def test_claim_8_7_a_request_does_not_run_while_the_engine_has_taken_it_out_of_its_batch() -> None:
    paused = request(0.0, 10.0, paused_s=((2.0, 4.0), (5.0, 6.0)))
    assert share([paused], batch=1) == pytest.approx(0.7)
    # Another one runs in its place.
    assert share([paused, request(2.0, 4.0)], batch=1) == pytest.approx(0.9)
    assert share([request(-5.0, 5.0, paused_s=((-2.0, 1.0),))], batch=1) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "requests",
    [
        [],
        # Beam search: when a request was finished is not known.
        [request(0.0, 10.0), request(0.0, 10.0, first_token_s=None)],
        [request(0.0, 10.0), RequestOutput((1,), 1, started_s=0.0, finished_s=None, first_token_s=1.0)],
        # More at once than can run: some of them were waiting.
        [request(0.0, 5.0), request(0.0, 10.0), request(0.0, 10.0)],
    ],
    ids=["none", "no-token-times", "no-end", "no-queue-times"],
)
def test_claim_8_7_where_the_engine_does_not_tell_saturation_is_unknown(requests: list[RequestOutput]) -> None:
    assert share(requests, batch=2) is None
