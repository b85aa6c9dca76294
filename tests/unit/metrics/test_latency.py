"""Distributions of request times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_runner.backends.protocol import RequestOutput
from llem_runner.metrics.latency import distribution, latency_of, percentile, unknown_parts


def request(token_times_s: tuple[float, ...], /, **overrides: object) -> RequestOutput:
    values: dict[str, object] = {
        "token_ids": tuple(range(len(token_times_s))),
        "input_tokens": 5,
        "started_s": 100.0,
        "finished_s": token_times_s[-1],
        "first_token_s": token_times_s[0],
        "token_times_s": token_times_s,
    }
    return RequestOutput(**{**values, **overrides})  # type: ignore[arg-type]


def test_each_part_is_taken_from_the_requests_own_times() -> None:
    latency = latency_of([request((100.5, 100.6, 100.8)), request((101.5, 101.9))])
    assert latency.request_s is not None
    assert latency.ttft_s is not None
    assert latency.itl_s is not None
    assert (latency.request_s.mean, latency.request_s.n) == (pytest.approx(1.35), 2)
    assert (latency.ttft_s.mean, latency.ttft_s.n) == (pytest.approx(1.0), 2)
    assert (latency.itl_s.mean, latency.itl_s.n) == (pytest.approx(0.7 / 3), 3)
    assert latency.queue_s is None


def test_a_part_that_one_request_cannot_tell_is_none() -> None:
    beam = RequestOutput(token_ids=(1, 2), input_tokens=5, started_s=100.0, finished_s=102.0)
    latency = latency_of([request((100.5, 100.6)), beam])
    assert latency.request_s is not None
    assert latency.request_s.n == 2
    assert latency.ttft_s is None
    assert latency.itl_s is None


def test_the_end_of_a_whole_call_is_no_time_of_a_request_and_the_reason_is_told() -> None:
    requests = [request((100.5, 100.6)), request((101.0,), finished_s=None)]
    latency = latency_of(requests)
    assert latency.request_s is None
    assert unknown_parts(requests, latency)["request_s"] == "generation gave no end of its own for 1 of 2 requests"


def test_waiting_is_reported_where_the_engine_tells_it() -> None:
    latency = latency_of([request((101.0,), queued_s=0.25), request((101.0,), queued_s=0.75)])
    assert latency.queue_s is not None
    assert latency.queue_s.mean == pytest.approx(0.5)


def test_single_tokens_have_nothing_between_them() -> None:
    assert latency_of([request((101.0,))]).itl_s is None


def test_no_requests_have_no_latency() -> None:
    assert latency_of([]).model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (25, 1.75), (50, 2.5), (90, 3.7), (95, 3.85), (100, 4.0)])
def test_percentiles_are_interpolated_linearly(percent: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_agree_with_numpy(values: list[float]) -> None:
    import numpy

    found = distribution(values)
    assert found is not None
    expected = numpy.percentile(values, [50, 90, 95, 99])
    assert [found.p50, found.p90, found.p95, found.p99] == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)


def test_claim_8_6_percentiles_come_with_the_sample_count() -> None:
    latency = latency_of([request((100.5, 100.6, 100.8), queued_s=0.1)] * 3)
    assert [part.n for part in (latency.request_s, latency.queue_s, latency.ttft_s, latency.itl_s) if part] == [
        *(3, 3, 3),
        6,
    ]
    assert unknown_parts([], latency) == {}


@pytest.mark.parametrize(
    ("requests", "reasons"),
    [
        ([request((101.0,))], {"itl_s": "no request has two output tokens"}),
        (
            [request((100.5, 100.6)), request((100.5, 100.5), token_times_s=())],
            {"itl_s": "generation gave no time of every token for 1 of 2 requests"},
        ),
        (
            [request((100.5, 100.6), first_token_s=None, token_times_s=())] * 2,
            {
                "ttft_s": "generation gave none for 2 of 2 requests",
                "itl_s": "generation gave no time of every token for 2 of 2 requests",
            },
        ),
    ],
    ids=["single-tokens", "several-tokens-a-step", "beam-search"],
)
def test_claim_8_6_a_time_that_is_not_known_has_its_reason(
    requests: list[RequestOutput], reasons: dict[str, str]
) -> None:
    unknown = unknown_parts(requests, latency_of(requests))
    assert unknown.pop("queue_s") == "this engine has no queue, or does not tell"
    assert unknown == reasons
