"""Joules of a run from a made-up recording whose energy is exact."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from sensor_simulator import Energy as Truth
from sensor_simulator import Polls, Sensor, constant, pieces, simulate

from llem_runner.contract import Calibration
from llem_runner.energy_report import EnergyReport
from llem_runner.marks import Span
from llem_runner.meter import Recording
from llem_runner.power.boards import family_of
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.sensors import MIG_REFUSAL, Board
from llem_runner.power.series import Series
from llem_runner.power.timeline import Timeline
from llem_runner.power.window_meter import Metered

IDLE, RESIDENT, WINDOW, BEYOND = Span(2.0, 6.0), Span(8.0, 11.0), Span(12.0, 24.0), Span(29.0, 40.0)
# 70 W bare, 120 W with a model, 400 W at work.
A_RUN = pieces([70.0] * 7 + [120.0] * 5 + [400.0] * 18, 1.0)


def board(uuid: str, name: str = "NVIDIA H100 80GB HBM3", **keys: Any) -> Board:
    known: dict[str, Any] = {
        "index": 0,
        "pci_bus_id": "00000000:10:00.0",
        "simulated": False,
        "readings": ("counter_mj",),
        "driver": None,
        "counter_scope": "gpu",
        "power_scope": "gpu",
        "energy_refusal": None,
        "power_limit_w": 700.0,
    }
    return Board(uuid=uuid, name=name, family=family_of(name), **{**known, **keys})


def series(truth: Truth) -> Series:
    return simulate(truth, Sensor(), Polls(), 30.0, random.Random(1))


class Report:
    """A report, and the warnings that it gave."""

    def __init__(self, recording: Recording, calibration: dict[str, Calibration] | None = None) -> None:
        self.warnings: list[tuple[str, str]] = []
        self.report = EnergyReport(
            recording, lambda code, message: self.warnings.append((code, message)), calibration or {}
        )

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.warnings]

    def window(self, span: Span = WINDOW, idle: Span | None = IDLE, resident: Span | None = RESIDENT) -> Any:
        return self.report.window(span, idle=idle, resident=resident, output_tokens=1000, all_tokens=4000, requests=10)


def of(
    *read: tuple[Board, Series], calibration: dict[str, Calibration] | None = None, metered: Metered | None = None
) -> Report:
    timeline = Timeline("monotonic_s", {one.uuid: replace(readings, device=one.uuid) for one, readings in read})
    return Report(Recording(tuple(one for one, _ in read), timeline, metered=metered), calibration)


def test_claim_8_energy_above_idle_and_above_resident_and_per_token_follow_from_the_truth() -> None:
    made = of((board("a"), series(A_RUN)))
    energy = made.window()
    truth_j = 12.0 * 400.0
    assert energy.lower_j <= truth_j <= energy.upper_j
    assert energy.total_j == pytest.approx(truth_j, rel=0.005)
    assert energy.idle_power_w == pytest.approx(70.0, rel=0.01)
    assert energy.resident_power_w == pytest.approx(120.0, rel=0.01)
    assert energy.adjusted_j == pytest.approx(truth_j - 12 * 70.0, rel=0.01)
    assert energy.above_resident_j == pytest.approx(truth_j - 12 * 120.0, rel=0.01)
    assert energy.per_output_token_j == pytest.approx(energy.total_j / 1000)
    assert energy.per_total_token_j == pytest.approx(energy.total_j / 4000)
    assert energy.per_request_j == pytest.approx(energy.total_j / 10)
    assert made.codes == []


def test_claim_8_devices_add_up() -> None:
    energy = of((board("a"), series(constant(100.0))), (board("b"), series(constant(300.0)))).window()
    assert energy.total_j == pytest.approx(12 * 400.0, rel=0.005)
    assert [device.total_j for device in energy.devices] == [
        pytest.approx(1200.0, rel=0.01),
        pytest.approx(3600.0, rel=0.01),
    ]
    assert sum(device.total_j for device in energy.devices) == pytest.approx(energy.total_j)


def test_claim_8_energy_above_a_floor_is_never_below_zero() -> None:
    energy = of((board("a"), series(pieces([400.0] * 11 + [70.0] * 19, 1.0)))).window(Span(13.0, 24.0))
    assert (energy.adjusted_j, energy.above_resident_j) == (0.0, 0.0)


@pytest.mark.parametrize("what", ["idle", "resident"])
def test_claim_7_a_power_at_rest_that_nobody_waited_for_is_unknown_with_a_warning(what: str) -> None:
    made = of((board("a"), series(A_RUN)))
    energy = made.window(**{what: None})
    assert getattr(energy, f"{what}_power_w") is None
    assert getattr(energy, {"idle": "adjusted_j", "resident": "above_resident_j"}[what]) is None
    assert energy.total_j is not None
    assert made.codes == [f"{what}_power_not_measured"]


@pytest.mark.parametrize("what", ["idle", "resident"])
def test_claim_7_a_power_at_rest_that_the_readings_do_not_give_is_unknown_with_the_reason(what: str) -> None:
    made = of((board("a"), series(A_RUN)))
    assert getattr(made.window(**{what: BEYOND}), f"{what}_power_w") is None
    [(code, message)] = made.warnings
    assert code == f"{what}_power_not_measured"
    assert "recording ends" in message


def test_a_window_that_is_refused_keeps_its_boards_and_the_powers_at_rest() -> None:
    made = of((board("a"), series(A_RUN)))
    energy = made.window(BEYOND)
    assert (energy.source, energy.total_j, energy.lower_j) == ("nvml", None, None)
    assert energy.idle_power_w == pytest.approx(70.0, rel=0.01)
    assert energy.resident_power_w == pytest.approx(120.0, rel=0.01)
    [device] = energy.devices
    assert (device.uuid, device.total_j, device.mean_power_w, device.power_limit_w) == ("a", None, None, 700.0)
    assert made.codes == ["energy_refused"]


def test_a_board_with_mig_gives_no_energy_of_any_span_and_the_reason_for_each_kind_once() -> None:
    made = of((board("a", energy_refusal=MIG_REFUSAL), series(A_RUN)))
    energy = made.window()
    assert (energy.total_j, energy.idle_power_w) == (None, None)
    assert [made.report.joules(WINDOW, "pass").total_j for _ in range(3)] == [None] * 3
    assert made.report.joules(WINDOW, "phase").total_j is None
    assert made.codes == [
        "idle_power_not_measured",
        "resident_power_not_measured",
        "energy_refused",
        "pass_energy_unknown",
        "phase_energy_unknown",
    ]
    assert all("MIG is on" in message for _, message in made.warnings)


def test_claim_8_a_counter_that_goes_backwards_in_the_window_is_a_lost_gpu() -> None:
    broken = series(A_RUN)
    for row, time_s in enumerate(broken.before_s):
        if time_s > 18.0:
            broken.counter_mj[row] -= 1e7
    with pytest.raises(GpuLost, match="GPU a: the energy counter went backwards"):
        of((board("a"), broken)).window()


def test_spans_of_the_run_add_up_to_the_window() -> None:
    made = of((board("a"), series(A_RUN)))
    parts = [made.report.joules(Span(12.0 + 3 * n, 15.0 + 3 * n), "pass").total_j for n in range(4)]
    assert sum(part or math.nan for part in parts) == pytest.approx(made.window().total_j, rel=0.001)


def test_what_was_not_read_is_none_with_one_warning_that_gives_the_reason() -> None:
    made = Report(Recording((board("a"),), reason="energy.backend is none"))
    energy = made.window()
    assert (energy.source, energy.total_j, energy.devices) == ("none", None, ())
    assert made.report.joules(WINDOW, "pass").total_j is None
    assert made.report.recorder(24.0) is None
    assert made.report.peak_memory_bytes(WINDOW) is None
    assert made.report.thermal(WINDOW).throttled is None
    [(code, message)] = made.warnings
    assert code == "energy_not_measured"
    assert "energy.backend is none" in message


def test_evenness_counts_the_silence_before_the_windows_end() -> None:
    made = of((board("a"), series(A_RUN)))
    even, silent = made.report.recorder(24.0), made.report.recorder(36.0)
    assert even is not None
    assert silent is not None
    assert even.largest_gap_s == pytest.approx(0.047, abs=0.002)
    assert silent.largest_gap_s == pytest.approx(6.0, abs=0.1)


def test_peak_memory_is_the_sum_of_the_boards_peaks_and_unknown_where_one_does_not_tell() -> None:
    first, second = series(A_RUN), series(A_RUN)
    first.slow["memory_used_bytes"] = [(1.0, 9e9), (13.0, 1e9), (14.0, 3e9)]
    second.slow["memory_used_bytes"] = [(20.0, 2e9)]
    assert of((board("a"), first), (board("b"), second)).report.peak_memory_bytes(WINDOW) == 5_000_000_000
    assert of((board("a"), first), (board("b"), series(A_RUN))).report.peak_memory_bytes(WINDOW) is None


LOW = Calibration(factor=0.96, uncertainty_percent=1.0, source="wattmeter of room 4")
HIGH = Calibration(factor=1.1, uncertainty_percent=2.0, source="PMD")


def test_claim_7_7_a_gain_divides_every_energy_and_power_and_its_uncertainty_stands_beside_the_bounds() -> None:
    plain, known = of((board("a"), series(A_RUN))), of((board("a"), series(A_RUN)), calibration={"a": LOW})
    before, after = plain.window(), known.window()
    for name in (
        *("total_j", "lower_j", "upper_j", "cross_check_j", "idle_power_w", "resident_power_w", "adjusted_j"),
        *("above_resident_j", "per_output_token_j", "per_total_token_j", "per_request_j"),
    ):
        assert getattr(after, name) == pytest.approx(getattr(before, name) / 0.96), name
    for name in ("total_j", "lower_j", "upper_j", "mean_power_w", "peak_power_w", "idle_power_w", "resident_power_w"):
        assert getattr(after.devices[0], name) == pytest.approx(getattr(before.devices[0], name) / 0.96), name
    for what, span in (("pass", Span(12.0, 18.0)), ("phase", IDLE)):
        raw, true = plain.report.joules(span, what), known.report.joules(span, what)
        assert true.total_j == pytest.approx((raw.total_j or 0) / 0.96)
        assert true.devices[0].upper_j == pytest.approx((raw.devices[0].upper_j or 0) / 0.96)
    assert (before.systematic_percent, after.systematic_percent) == (5.0, 1.0)
    assert (after.upper_j - after.lower_j) / after.total_j == pytest.approx(
        (before.upper_j - before.lower_j) / before.total_j
    )


def test_claim_7_7_factor_uncertainty_and_source_are_recorded_with_each_board() -> None:
    [first, second] = (
        of((board("a"), series(A_RUN)), (board("b"), series(A_RUN)), calibration={"b": HIGH}).window().devices
    )
    assert (first.systematic_percent, first.gain_factor, first.gain_source) == (5.0, None, None)
    assert (second.systematic_percent, second.gain_factor, second.gain_source) == (2.0, 1.1, "PMD")


def test_claim_7_7_boards_of_different_gains_add_up_to_the_truth() -> None:
    boards = [(board("a"), series(constant(96.0))), (board("b"), series(constant(330.0)))]
    energy = of(*boards, calibration={"a": LOW, "b": HIGH, "elsewhere": HIGH}).window()
    truth_j = 12 * (100.0 + 300.0)
    assert energy.lower_j <= truth_j <= energy.upper_j
    assert energy.total_j == pytest.approx(truth_j, rel=0.005)
    assert energy.idle_power_w == pytest.approx(400.0, rel=0.01)
    assert energy.systematic_percent == pytest.approx((100 * 1.0 + 300 * 2.0) / 400, rel=0.01)


def test_claim_7_6_every_span_has_its_energy_with_bounds_and_that_of_each_board() -> None:
    made = of((board("a"), series(A_RUN)), (board("b"), series(constant(100.0))))
    for span, watts in ((IDLE, 70.0), (RESIDENT, 120.0), (Span(12.0, 18.0), 400.0)):
        joules = made.report.joules(span, "phase")
        assert [device.uuid for device in joules.devices] == ["a", "b"]
        for device, power_w in zip(joules.devices, (watts, 100.0), strict=True):
            assert device.lower_j is not None
            assert device.upper_j is not None
            assert device.lower_j <= power_w * span.duration_s <= device.upper_j
        assert joules.lower_j == pytest.approx(sum(device.lower_j or 0 for device in joules.devices))
        assert joules.total_j == pytest.approx(sum(device.energy_j or 0 for device in joules.devices))
    assert [device.idle_power_w for device in made.window().devices] == [
        pytest.approx(70.0, rel=0.01),
        pytest.approx(100.0, rel=0.01),
    ]


def test_claim_7_6_a_board_that_refuses_leaves_the_others_their_own_energy() -> None:
    made = of((board("a"), series(A_RUN)), (board("b", energy_refusal=MIG_REFUSAL), series(A_RUN)))
    joules = made.report.joules(WINDOW, "pass")
    assert joules.total_j is None
    assert [device.energy_j is None for device in joules.devices] == [False, True]


def test_claim_7_14_another_tools_joules_are_the_windows_with_the_boards_gains_and_no_bounds() -> None:
    zeus = Metered("zeus", 4000.0, {"a": 960.0, "b": 3040.0})
    made = of((board("a"), series(A_RUN)), (board("b"), series(A_RUN)), calibration={"a": LOW}, metered=zeus)
    energy = made.window()
    assert (energy.source, energy.method, energy.lower_j, energy.upper_j) == ("zeus", None, None, None)
    assert energy.total_j == pytest.approx(1000.0 + 3040.0)
    assert [device.total_j for device in energy.devices] == [pytest.approx(1000.0), 3040.0]
    assert [device.mean_power_w for device in energy.devices] == [
        pytest.approx(1000.0 / 12),
        pytest.approx(3040.0 / 12),
    ]
    assert energy.systematic_percent == pytest.approx((1000.0 * 1.0 + 3040.0 * 5.0) / 4040.0)
    assert energy.idle_power_w == pytest.approx(70.0 / 0.96 + 70.0, rel=0.01)
    assert made.report.joules(WINDOW, "pass").total_j is None
    [(code, message)] = made.warnings
    assert code == "pass_energy_unknown"
    assert "zeus measures the window as a whole" in message


def test_claim_7_14_a_sum_over_boards_cannot_be_calibrated_and_says_so() -> None:
    both = (board("a"), series(A_RUN)), (board("b"), series(A_RUN))
    made = of(*both, calibration={"a": LOW}, metered=Metered("codecarbon", 4000.0))
    energy = made.window()
    assert energy.total_j == 4000.0
    assert [device.total_j for device in energy.devices] == [None, None]
    assert energy.systematic_percent == 5.0
    assert made.codes == ["calibration_not_applied"]
    assert of(*both, metered=Metered("codecarbon", 4000.0)).window().total_j == 4000.0


def test_claim_7_14_a_tool_that_failed_leaves_no_energy_and_its_reason() -> None:
    made = of((board("a"), series(A_RUN)), metered=Metered("zeus", problem="zeus did not answer"))
    energy = made.window()
    assert (energy.source, energy.total_j, energy.devices[0].total_j) == ("zeus", None, None)
    assert energy.idle_power_w == pytest.approx(70.0, rel=0.01)
    [(code, message)] = made.warnings
    assert code == "energy_refused"
    assert "zeus did not answer" in message


def test_claim_7_14_a_counter_that_broke_is_a_lost_gpu_whoever_measures() -> None:
    broken = series(A_RUN)
    for row, time_s in enumerate(broken.before_s):
        if time_s > 18.0:
            broken.counter_mj[row] -= 1e7
    with pytest.raises(GpuLost, match="went backwards"):
        of((board("a"), broken), metered=Metered("zeus", 4000.0, {"a": 4000.0})).window()
