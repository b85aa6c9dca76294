"""Joules of a run: the recording, cut at the marks. Every span, device by device, then added up."""

from __future__ import annotations

from collections.abc import Callable

from llem_runner.contract.result import DeviceEnergy, Energy, RecorderStats, Thermal
from llem_runner.marks import Marks, Span
from llem_runner.meter import Recording
from llem_runner.metrics.thermal import thermal, within
from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import SYSTEMATIC_PERCENT, Estimator, SpanEnergy, TotalEnergy, total
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.series import Series


class EnergyReport:
    """What a recording says of any span of the run. `warn(code, message)` takes what could not be known."""

    def __init__(self, recording: Recording, warn: Callable[[str, str], None]) -> None:
        self._boards = recording.boards
        self._timeline = recording.timeline
        self._reason = recording.reason
        self._warn = warn
        self._estimators = {
            board.uuid: Estimator(self._series(board.uuid), board_facts(board.name)) for board in recording.boards
        }

    def span_j(self, span: Span | None) -> float | None:
        """Energy of a span over all devices; None where it cannot be known."""
        found = self._total(span)
        return found.total_j if found else None

    def window(self, span: Span, marks: Marks, *, output_tokens: int, all_tokens: int, requests: int) -> Energy:
        """Energy of the measured window, with all that is derived from it. Raises GpuLost for a broken counter."""
        if self._timeline is None:
            self._warn("energy_not_measured", f"GPU energy was not measured: {self._reason}.")
            return Energy(source="none")
        refusal = next((board.energy_refusal for board in self._boards if board.energy_refusal), None)
        spans = [] if refusal else self._spans(span)
        lost = next((found for found in spans if found.gpu_lost), None)
        if lost is not None:
            raise GpuLost(f"GPU {lost.device}: {lost.refusal}")
        refusal = refusal or next((found.refusal for found in spans if found.refusal), None)
        summed = None if refusal else total(spans)
        if summed is None:
            self._warn("energy_refused", f"GPU energy of the window cannot be known: {refusal}.")
            return Energy(source="nvml")
        idle_w, resident_w = self._mean_w(marks.phases.get("idle")), self._mean_w(marks.phases.get("resident"))
        return Energy(
            source="nvml",
            method=summed.method,
            total_j=summed.total_j,
            lower_j=summed.lower_j,
            upper_j=summed.upper_j,
            systematic_percent=SYSTEMATIC_PERCENT,
            lag_ms=summed.lag_ms,
            cross_check_j=summed.cross_check_j,
            idle_power_w=idle_w,
            resident_power_w=resident_w,
            adjusted_j=_above(summed.total_j, idle_w, span),
            above_resident_j=_above(summed.total_j, resident_w, span),
            per_output_token_j=summed.total_j / output_tokens if output_tokens else None,
            per_total_token_j=summed.total_j / all_tokens if all_tokens else None,
            per_request_j=summed.total_j / requests if requests else None,
            devices=tuple(self._device(found) for found in spans),
        )

    def recorder(self) -> RecorderStats | None:
        """How evenly the recorder read."""
        stats = self._timeline.stats() if self._timeline else None
        if stats is None:
            return None
        return RecorderStats(
            period_s=stats.period_s,
            jitter_p50_s=stats.jitter_p50_s,
            jitter_p99_s=stats.jitter_p99_s,
            largest_gap_s=stats.largest_gap_s,
        )

    def thermal(self, span: Span) -> Thermal:
        """Temperature and throttling over a span."""
        return thermal(self._slow("temperature_c"), self._slow("throttle_reasons"), span.start_s, span.end_s)

    def peak_memory_bytes(self, span: Span) -> int | None:
        """Most memory in use on all devices together, as the devices count it (other processes included)."""
        peaks = [within(readings, span.start_s, span.end_s) for readings in self._slow("memory_used_bytes")]
        return sum(int(max(values)) for values in peaks) if peaks and all(peaks) else None

    def _series(self, uuid: str) -> Series:
        assert self._timeline is not None
        return self._timeline.devices.get(uuid, Series(uuid))

    def _slow(self, column: str) -> list[list[tuple[float, float]]]:
        return [self._series(board.uuid).slow.get(column, []) for board in self._boards]

    def _spans(self, span: Span) -> list[SpanEnergy]:
        return [estimator.energy(span.start_s, span.end_s) for estimator in self._estimators.values()]

    def _total(self, span: Span | None) -> TotalEnergy | None:
        if span is None or any(board.energy_refusal for board in self._boards):
            return None
        return total(self._spans(span))

    def _mean_w(self, span: Span | None) -> float | None:
        found = self._total(span)
        return found.total_j / span.duration_s if found and span else None

    def _device(self, found: SpanEnergy) -> DeviceEnergy:
        [board] = [board for board in self._boards if board.uuid == found.device]
        return DeviceEnergy(
            uuid=board.uuid,
            index=board.index,
            name=board.name,
            total_j=found.total_j,
            lower_j=found.lower_j,
            upper_j=found.upper_j,
            mean_power_w=found.mean_power_w,
            peak_power_w=found.peak_power_w,
            power_limit_w=board.power_limit_w,
            counter_steps=found.counter_steps if found.method == "counter" else None,
        )


def _above(total_j: float, floor_w: float | None, span: Span) -> float | None:
    """Energy above a floor of power; never below 0."""
    return None if floor_w is None else max(0.0, total_j - floor_w * span.duration_s)
