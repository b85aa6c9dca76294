"""When the warm-up has done its work. Pure: readings and times come in, nothing is waited for here.

An iteration is one full batch at full output length. With convergence detection the warm-up ends when the seconds per
output token of the last `window_size` iterations scatter little (coefficient of variation under `cv_threshold`) and
the temperature has settled (less than 1 °C in 10 s), or at `max_iterations`; without, after `n_warmup` iterations.
Either way it lasts at least `thermal_floor_seconds` where a sensor is read: a GPU that is still warming up draws less.
"""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.contract.result import Warmup
from llem_runner.contract.sections import WarmupConfig
from llem_runner.metrics.scatter import coefficient_of_variation

SETTLED_CHANGE_C = 1.0
SETTLED_OVER_S = 10.0


class WarmupWatch:
    """Is told of each iteration, and knows whether another one is needed.

    `started_s`: CLOCK_MONOTONIC at the first iteration's start. `has_sensor`: whether power or temperature of a GPU is
    read; without one there is nothing to heat up and the floor is skipped.
    """

    def __init__(self, config: WarmupConfig, started_s: float, has_sensor: bool) -> None:
        self._config = config
        self._started_s = self._now_s = started_s
        self._floor_s = config.thermal_floor_seconds if has_sensor else 0.0
        self._seconds_per_token: list[float] = []
        self._temperatures: list[tuple[float, float]] = []

    def add(self, now_s: float, seconds_per_output_token: float, temperature_c: float | None) -> None:
        """An iteration ended at `now_s`; `temperature_c` is the hottest GPU's, None where no sensor tells."""
        self._now_s = now_s
        self._seconds_per_token.append(seconds_per_output_token)
        if temperature_c is not None:
            self._temperatures.append((now_s, temperature_c))

    @property
    def iterations(self) -> int:
        """Iterations so far."""
        return len(self._seconds_per_token)

    @property
    def duration_s(self) -> float:
        """Seconds under load so far."""
        return self._now_s - self._started_s

    @property
    def cv(self) -> float | None:
        """Coefficient of variation of seconds per output token over the window; None before the window is full."""
        window = self._seconds_per_token[-self._config.window_size :]
        return coefficient_of_variation(window) if len(window) == self._config.window_size else None

    @property
    def converged(self) -> bool | None:
        """Whether speed and temperature are steady now; None where that is not watched."""
        if not (self._config.enabled and self._config.convergence_detection):
            return None
        if self.cv is None or self.iterations < self._config.min_iterations or self.duration_s < self._floor_s:
            return False
        return self.cv < self._config.cv_threshold and temperature_settled(self._temperatures)

    @property
    def done(self) -> bool:
        """Whether the warm-up is over."""
        if not self._config.enabled:
            return True
        if self.duration_s < self._floor_s:
            return False
        if not self._config.convergence_detection:
            return self.iterations >= self._config.n_warmup
        return self.converged is True or self.iterations >= self._config.max_iterations

    def outcome(self) -> Warmup:
        """What is recorded of it."""
        return Warmup(
            iterations=self.iterations,
            converged=self.converged,
            cv=self.cv if self._config.convergence_detection else None,
            duration_s=self.duration_s,
        )


def temperature_settled(readings: Sequence[tuple[float, float]]) -> bool:
    """Whether (time in s, °C) readings, oldest first, changed by less than 1 °C in their last 10 s.

    Readings further apart than 10 s are judged by their rate; over less than 10 s nothing is known yet. Without
    readings there is nothing to settle.
    """
    if not readings:
        return True
    now_s = readings[-1][0]
    if now_s - readings[0][0] < SETTLED_OVER_S:
        return False
    older = [index for index, (time_s, _) in enumerate(readings) if now_s - time_s >= SETTLED_OVER_S]
    recent = readings[older[-1] if older else 0 :]
    temperatures_c = [temperature_c for _, temperature_c in recent]
    span_s = now_s - recent[0][0]
    return max(temperatures_c) - min(temperatures_c) < SETTLED_CHANGE_C * span_s / SETTLED_OVER_S
