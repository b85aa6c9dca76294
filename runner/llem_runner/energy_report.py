"""Joules of a run: the recording, cut at the marks. Every span, device by device, then added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from llem_runner.contract import Calibration
from llem_runner.contract.result import DeviceEnergy, DeviceJoules, Energy, EnergySource, RecorderStats, Thermal
from llem_runner.marks import Span
from llem_runner.meter import Recording
from llem_runner.metrics.thermal import thermal, within
from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator, SpanEnergy, TotalEnergy, total
from llem_runner.power.gain import UNCALIBRATED, Gain
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.series import Series
from llem_runner.power.window_meter import Metered


@dataclass(frozen=True)
class ToolTotal:
    """Energy of the window as another tool tells it, in joule: it says nothing of bounds, or of how it came by it."""

    total_j: float
    lower_j: None = None
    upper_j: None = None
    method: None = None
    lag_ms: None = None
    cross_check_j: None = None


@dataclass(frozen=True)
class Joules:
    """Energy of a span over all devices, with bounds, and of each; None where it cannot be known."""

    total_j: float | None = None
    lower_j: float | None = None
    upper_j: float | None = None
    devices: tuple[DeviceJoules, ...] = ()


class EnergyReport:
    """What a recording says of any span of the run. `warn(code, message)` takes what could not be known.

    `calibration`, by UUID, is applied to every energy and power that is given out.
    """

    def __init__(
        self, recording: Recording, warn: Callable[[str, str], None], calibration: Mapping[str, Calibration]
    ) -> None:
        self._timeline = recording.timeline
        devices = recording.timeline.devices if recording.timeline else {}
        # Nothing was read of boards without a recording.
        boards = recording.boards if recording.timeline else ()
        self._read = {board.uuid: (board, devices.get(board.uuid, Series(board.uuid))) for board in boards}
        self._reason = recording.reason
        self._metered = recording.metered
        self._warn = warn
        self._told: set[str] = set()
        self._estimators = {
            uuid: Estimator(series, board_facts(board.name)) for uuid, (board, series) in self._read.items()
        }
        self._gains = {
            uuid: Gain(known.factor, known.uncertainty_percent, known.source) for uuid, known in calibration.items()
        }

    def joules(self, span: Span, what: str) -> Joules:
        """Energy of a span; what cannot be known is None, with one warning for all spans of a kind.

        `what` names the kind ("pass"): the warning is `<what>_energy_unknown`.
        """
        spans = self._spans(span) if self._metered is None else []
        summed = total(spans)
        if summed is None and self._timeline is not None and what not in self._told:
            self._told.add(what)
            self._warn(f"{what}_energy_unknown", f"The energy of a {what} cannot be known: {self._why_not(spans)}.")
        return Joules(
            summed.total_j if summed else None,
            summed.lower_j if summed else None,
            summed.upper_j if summed else None,
            tuple(
                DeviceJoules(uuid=found.device, energy_j=found.total_j, lower_j=found.lower_j, upper_j=found.upper_j)
                for found in spans
            ),
        )

    def window(
        self,
        span: Span,
        *,
        idle: Span | None,
        resident: Span | None,
        output_tokens: int,
        all_tokens: int,
        requests: int,
    ) -> Energy:
        """Energy of the measured window, with all that is derived from it. Raises GpuLost for a broken counter.

        `idle` and `resident` are the spans that were waited through for those powers; None where nobody waited.
        """
        if self._timeline is None:
            self._warn(
                "energy_not_measured",
                f"No GPU was read (energy, power, temperature, throttling, device memory): {self._reason}.",
            )
            return Energy(source="none")
        spans = self._spans(span)
        lost = next((found for found in spans if found.gpu_lost), None)
        if lost is not None:
            raise GpuLost(f"GPU {lost.device}: {lost.refusal}")
        source: EnergySource = "nvml"
        summed: TotalEnergy | ToolTotal | None = total(spans)
        if self._metered is not None:
            source = self._metered.source
            spans = [self._of_tool(found, self._metered) for found in spans]
            summed = self._total_of_tool(spans, self._metered)
        at_rest = {"idle": self._mean_w(idle, "idle"), "resident": self._mean_w(resident, "resident")}
        idle_w, resident_w = (_sum(powers_w) for powers_w in at_rest.values())
        devices = tuple(
            self._device(found, *powers_w) for found, *powers_w in zip(spans, *at_rest.values(), strict=True)
        )
        if summed is None:
            self._warn("energy_refused", f"GPU energy of the window cannot be known: {self._why_not(spans)}.")
            return Energy(
                source=source,
                idle_power_w=idle_w,
                resident_power_w=resident_w,
                devices=devices,
            )
        return Energy(
            source=source,
            method=summed.method,
            total_j=summed.total_j,
            lower_j=summed.lower_j,
            upper_j=summed.upper_j,
            systematic_percent=self._systematic_percent(spans),
            lag_ms=summed.lag_ms,
            cross_check_j=summed.cross_check_j,
            idle_power_w=idle_w,
            resident_power_w=resident_w,
            adjusted_j=_above(summed.total_j, idle_w, span),
            above_resident_j=_above(summed.total_j, resident_w, span),
            per_output_token_j=summed.total_j / output_tokens if output_tokens else None,
            per_total_token_j=summed.total_j / all_tokens if all_tokens else None,
            per_request_j=summed.total_j / requests if requests else None,
            devices=devices,
        )

    def recorder(self, until_s: float) -> RecorderStats | None:
        """How evenly the recorder read, until `until_s` at least."""
        stats = self._timeline.stats(until_s) if self._timeline else None
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
        temperatures, masks = (
            {uuid: series.slow.get(column, []) for uuid, (_, series) in self._read.items()}
            for column in ("temperature_c", "throttle_reasons")
        )
        return thermal(temperatures, masks, span.start_s, span.end_s)

    def peak_memory_bytes(self, span: Span) -> int | None:
        """Most memory in use on all devices together, as the devices count it (other processes included)."""
        peaks = [within(readings, span.start_s, span.end_s) for readings in self._slow("memory_used_bytes")]
        return sum(int(max(values)) for values in peaks) if peaks and all(peaks) else None

    def _slow(self, column: str) -> list[list[tuple[float, float]]]:
        return [series.slow.get(column, []) for _, series in self._read.values()]

    def _spans(self, span: Span) -> list[SpanEnergy]:
        """The span on every board that was read; a refusal where the board allows none (MIG)."""
        return [
            SpanEnergy(uuid, span.start_s, span.end_s, refusal=board.energy_refusal)
            if board.energy_refusal
            else self._gain(uuid).applied(self._estimators[uuid].energy(span.start_s, span.end_s))
            for uuid, (board, _) in self._read.items()
        ]

    def _of_tool(self, ours: SpanEnergy, metered: Metered) -> SpanEnergy:
        """What another tool says of a board, in place of ours; no joules where it does not tell boards apart."""
        board, _ = self._read[ours.device]
        joules = metered.by_board_j.get(ours.device)
        theirs = SpanEnergy(
            ours.device,
            ours.start_s,
            ours.end_s,
            total_j=joules,
            mean_power_w=None if joules is None else joules / (ours.end_s - ours.start_s),
            refusal=board.energy_refusal or metered.problem,
        )
        return theirs if theirs.refusal else self._gain(ours.device).applied(theirs)

    def _total_of_tool(self, spans: Sequence[SpanEnergy], metered: Metered) -> ToolTotal | None:
        """All boards together; None where it cannot be known."""
        if metered.total_j is None or any(found.refusal for found in spans):
            return None
        each_j = [found.total_j for found in spans if found.total_j is not None]
        if len(each_j) == len(spans):
            return ToolTotal(sum(each_j))
        if self._gains:
            self._warn(
                "calibration_not_applied",
                f"The energy is not divided by the boards' calibration: {metered.source} does not tell boards apart.",
            )
        return ToolTotal(metered.total_j)

    def _gain(self, uuid: str) -> Gain:
        return self._gains.get(uuid, UNCALIBRATED)

    def _systematic_percent(self, spans: Sequence[SpanEnergy]) -> float:
        """Of all devices together: the gains may all be wrong in one direction."""
        parts = [(found.total_j or 0.0, self._gain(found.device).uncertainty_percent) for found in spans]
        total_j = sum(part_j for part_j, _ in parts)
        if not total_j:
            return max(percent for _, percent in parts)
        return sum(part_j * percent for part_j, percent in parts) / total_j

    def _why_not(self, spans: list[SpanEnergy]) -> str:
        if not spans and self._metered is not None:
            return f"{self._metered.source} measures the window as a whole (the readings are in the timeline)"
        return next((found.refusal for found in spans if found.refusal), "no board was read")

    def _mean_w(self, span: Span | None, what: str) -> list[float | None]:
        """Mean power of each device over a span at rest; a warning where nobody waited, or readings do not tell."""
        spans = self._spans(span) if span else []
        if span and total(spans):
            return [found.mean_power_w for found in spans]
        why = self._why_not(spans) if span else "the run did not wait for it (baseline.enabled is false)"
        self._warn(f"{what}_power_not_measured", f"The {what} power is not known: {why}.")
        return [found.mean_power_w for found in spans] if spans else [None] * len(self._read)

    def _device(self, found: SpanEnergy, idle_w: float | None, resident_w: float | None) -> DeviceEnergy:
        board, _ = self._read[found.device]
        gain = self._gains.get(found.device)
        return DeviceEnergy(
            uuid=board.uuid,
            index=board.index,
            name=board.name,
            total_j=found.total_j,
            lower_j=found.lower_j,
            upper_j=found.upper_j,
            mean_power_w=found.mean_power_w,
            peak_power_w=found.peak_power_w,
            idle_power_w=idle_w,
            resident_power_w=resident_w,
            systematic_percent=self._gain(found.device).uncertainty_percent if found.refusal is None else None,
            gain_factor=gain.factor if gain else None,
            gain_source=gain.source if gain else None,
            power_limit_w=board.power_limit_w,
            counter_steps=found.counter_steps if found.method == "counter" else None,
        )


def _sum(powers_w: Sequence[float | None]) -> float | None:
    """All of them together; None where one is not known, or there are none."""
    known_w = [power_w for power_w in powers_w if power_w is not None]
    return sum(known_w) if known_w and len(known_w) == len(powers_w) else None


def _above(total_j: float, floor_w: float | None, span: Span) -> float | None:
    """Energy above a floor of power; never below 0."""
    return None if floor_w is None else max(0.0, total_j - floor_w * span.duration_s)
