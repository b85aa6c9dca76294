"""The first thing that went wrong is the one that is told."""

from __future__ import annotations

import errno
from typing import Any, cast

import pytest

from llem_runner.backends.protocol import Backend
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.disk import disk_failure
from llem_runner.guard import blaming_a_lost_gpu, unloading, while_alive
from llem_runner.lifeline import Stopped, StopRequest
from llem_runner.meter import Meter
from llem_runner.power.outcomes import GpuLost


class LosingMeter(Meter):
    """A meter whose recorder tells of a lost GPU, once it is asked."""

    def __init__(self) -> None:
        super().__init__("")
        self.asked = False

    def lost_within(self, seconds: float) -> GpuLost | None:
        self.asked = True
        return GpuLost("GPU-x fell off the bus")

    def check(self) -> None:
        raise GpuLost("GPU-x fell off the bus")


class BrokenBackend:
    """Cannot even be freed."""

    def unload(self) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")


def broken_backend() -> Backend:
    return cast(Any, BrokenBackend())


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: unspecified launch failure"),
        RunFailed(FailureKind.INFERENCE, "Generating failed"),
        RunFailed(FailureKind.MODEL, "Loading failed"),
    ],
)
def test_claim_8_an_engine_that_fails_on_a_lost_gpu_is_told_as_gpu_lost(error: Exception) -> None:
    with pytest.raises(GpuLost) as lost, blaming_a_lost_gpu(LosingMeter()):
        raise error
    assert lost.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [RunFailed(FailureKind.DISK, "full"), RunFailed(FailureKind.CONTRACT_MISMATCH, "x"), Stopped()]
)
def test_what_no_gpu_could_have_done_is_not_blamed_on_it(error: BaseException) -> None:
    meter = LosingMeter()
    with pytest.raises(type(error)), blaming_a_lost_gpu(meter):
        raise error
    assert not meter.asked


def test_without_a_lost_gpu_the_engines_error_stays() -> None:
    with pytest.raises(RunFailed, match="Generating"), blaming_a_lost_gpu(Meter("no GPU")):
        raise RunFailed(FailureKind.INFERENCE, "Generating failed")


@pytest.mark.parametrize("error", [GpuLost("GPU-x is lost"), Stopped("stopped"), ValueError("x")])
def test_an_engine_that_cannot_be_freed_does_not_hide_why_the_run_failed(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), unloading(broken_backend()):
        raise error
    assert "unspecified launch failure" in capsys.readouterr().err


def test_an_engine_that_cannot_be_freed_costs_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    with unloading(broken_backend()):
        pass
    assert "unspecified launch failure" in capsys.readouterr().err


def test_each_token_asks_whether_the_run_may_go_on() -> None:
    counted: list[int] = []
    stop = StopRequest()
    on_tokens = while_alive(Meter("no GPU"), stop, counted.append)
    on_tokens(3)
    stop.requested = True
    with pytest.raises(Stopped):
        on_tokens(4)
    with pytest.raises(GpuLost):
        while_alive(LosingMeter(), StopRequest(), counted.append)(5)
    assert counted == [3]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_more_is_kind_disk_even_inside_another_error(number: int) -> None:
    full = OSError(number, "no more", "/exchange/out/events.jsonl")
    outer = RuntimeError("the engine's words")
    outer.__cause__ = full
    for error in (full, outer):
        failure = disk_failure(error)
        assert failure is not None
        assert failure.kind is FailureKind.DISK
        assert "/exchange/out/events.jsonl" in failure.message


def test_other_errors_are_no_disk() -> None:
    assert disk_failure(FileNotFoundError(errno.ENOENT, "not there")) is None
    assert disk_failure(RuntimeError("No space left on device")) is None
