"""The cells of the comparison: each is one simulated board, with its shape of power, sensor, lag and disturbances."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import simulated_nvml as nvml

BOARDS_AT_ONCE = 32
"""As many as the simulated library shows; all are recorded in the same windows."""
UPDATES_MS = (20, 100, 500)
MISTUNED = 0.9998
"""A real counter's period against its nominal one (99.98 ms where 100 are meant)."""
JITTER_OF_PERIOD, MISSED_STEPS, DROPPED_POLLS = 0.015, 0.02, 0.05

Shape = Callable[[float], nvml.Shape]
"""A shape from its phase in seconds; it lies on the board's idle power."""


@dataclass(frozen=True)
class Kind:
    """A family of boards: how one is made, and the lag of its counter (None: any up to 150 ms)."""

    name: str
    make: Callable[..., nvml.Board]
    lag_ms: float | None


@dataclass(frozen=True)
class Cell:
    """One board's conditions. `group` is what tables call its shape."""

    group: str
    shape: str
    kind: str
    lag_ms: float
    update_ms: int
    disturbed: bool

    def text(self) -> str:
        """The conditions in one line."""
        disturbed = ", jitter and drop-outs" if self.disturbed else ""
        return f"{self.shape}, {self.kind} (lag {self.lag_ms:.0f} ms), every {self.update_ms} ms{disturbed}"


def _blackwell(number: int, **changes: object) -> nvml.Board:
    name = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition (simulated)"
    return nvml.h100(number, **{"name": name, "architecture": 10, "compute_capability": "12.0", **changes})


def _unknown(number: int, **changes: object) -> nvml.Board:
    return nvml.h100(number, **{"name": "NVIDIA Something New (simulated)", "architecture": 10, **changes})


KINDS = (
    Kind("Hopper", nvml.h100, 15.0),
    Kind("GA100", nvml.a100, 125.0),
    Kind("Blackwell", _blackwell, 0.0),
    Kind("unknown family", _unknown, None),
)

SQUARES = (
    *((0.05, duty) for duty in (0.1, 0.5)),
    *((0.1, duty) for duty in (0.5, 0.9)),
    *((0.2, duty) for duty in (0.1, 0.5)),
    *((0.35, duty) for duty in (0.5, 0.9)),
    *((0.75, duty) for duty in (0.1, 0.5, 0.9)),
    (1.5, 0.5),
    *((3.0, duty) for duty in (0.1, 0.5)),
)


def _square(period_s: float, duty: float) -> Shape:
    return lambda phase_s: nvml.Square(high_w=400.0, period_s=period_s, duty=duty, phase_s=phase_s)


# Prefill at full power, then decode: a plateau that climbs a little as the cache grows, then a pause between batches.
_INFERENCE = ((0.18, 520.0), (2.4, 250.0, 290.0), (0.12, 30.0), (0.32, 540.0), (3.1, 260.0, 310.0), (0.25, 30.0))

SHAPES: dict[str, tuple[str, Shape]] = {
    "constant 300 W": ("constant", lambda phase_s: nvml.Constant(watts=228.0, phase_s=phase_s)),
    **{
        f"square {period_s:g} s, {100 * duty:.0f} % on": ("square", _square(period_s, duty))
        for period_s, duty in SQUARES
    },
    "ramp of 2.7 s": ("ramp", lambda phase_s: nvml.Triangle(to_w=400.0, period_s=2.7, phase_s=phase_s)),
    "3 bursts of 20 ms every 1.7 s": (
        "bursts",
        lambda phase_s: nvml.Burst(high_w=450.0, burst_s=0.02, gap_s=0.01, count=3, period_s=1.7, phase_s=phase_s),
    ),
    "prefill and decode": ("inference", lambda phase_s: nvml.Trace(course=_INFERENCE, phase_s=phase_s)),
}


def full_grid(rng: random.Random) -> list[Cell]:
    """Every shape on every board, update period, and with and without disturbances; mixed, so that any part of the
    list has some of all.
    """
    conditions = itertools.product(SHAPES, KINDS, UPDATES_MS, (False, True))
    cells = [_cell(*each, rng) for each in conditions]
    rng.shuffle(cells)
    return cells


def quick_grid(rng: random.Random) -> list[Cell]:
    """One recording's worth: every group of shapes, board, update period and disturbance, several times each."""
    chosen: list[Cell] = []
    alike: dict[tuple[str, str], list[Cell]] = {}
    for cell in full_grid(rng):
        alike.setdefault((cell.group, cell.kind), []).append(cell)
    # In turns, so that squares, which are most of the grid, do not push the others out.
    for turn in itertools.zip_longest(*alike.values()):
        chosen += [cell for cell in turn if cell is not None]
    return chosen[:BOARDS_AT_ONCE]


def batches(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """The cells that are recorded together."""
    for first in range(0, len(cells), BOARDS_AT_ONCE):
        yield cells[first : first + BOARDS_AT_ONCE]


def board_of(cell: Cell, number: int, rng: random.Random) -> nvml.Board:
    """The simulated board of a cell: nothing of it is in step with another."""
    kind = next(kind for kind in KINDS if kind.name == cell.kind)
    period_s = MISTUNED * cell.update_ms / 1000
    board = kind.make(number, seed=rng.randrange(1, 1 << 30), power=(SHAPES[cell.shape][1](rng.uniform(0, 7)),))

    def tuned(sensor: nvml.Sensor, lag_s: float) -> nvml.Sensor:
        return replace(
            sensor,
            period_s=period_s,
            phase_s=rng.uniform(0, period_s),
            jitter_s=JITTER_OF_PERIOD * period_s if cell.disturbed else 0.0,
            missed=MISSED_STEPS if cell.disturbed else 0.0,
            lag_s=lag_s,
        )

    return replace(
        board,
        counter=tuned(board.counter, cell.lag_ms / 1000),
        instant=tuned(board.instant, 0.0),
        average=tuned(board.average, 0.0),
    )


def _cell(shape: str, kind: Kind, update_ms: int, disturbed: bool, rng: random.Random) -> Cell:
    lag_ms = rng.uniform(0, 150) if kind.lag_ms is None else kind.lag_ms
    return Cell(SHAPES[shape][0], shape, kind.name, lag_ms, update_ms, disturbed)
