"""What is known of a board from its name: family, lag of its counter, windows of its power readings. Pure.

Sources: Yang, Adámek, Armour, "Part-time Power Measurements" (SC'24, arXiv 2312.02741); counters read at the edges of
real loads (H100, A100, RTX PRO 6000) for the lags. Every lag is an interval; bounds cover all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

SIMULATED_MARKER_VARIABLE = "LLEM_SIMULATED_NVML"
"""Set to 1 by whoever puts a simulated NVML library in the loader's way."""


class Family(str, Enum):
    """A board's architecture, as far as its sensors differ."""

    MAXWELL = "maxwell"
    PASCAL = "pascal"
    VOLTA = "volta"
    TURING = "turing"
    GA100 = "ga100"
    AMPERE = "ampere"
    ADA = "ada"
    HOPPER = "hopper"
    BLACKWELL = "blackwell"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


class PowerMeaning(str, Enum):
    """What `nvmlDeviceGetPowerUsage` returns."""

    INSTANT = "instant"
    AVERAGE = "average"


@dataclass(frozen=True)
class Interval:
    """An unknown constant: surely within [low, high], most likely `middle`."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class BoardFacts:
    """What the estimator has to know of a board's sensors.

    `counter_lag_ms`: a counter step seen at t holds the energy up to t − lag. `power_lag_ms`: a power reading that
    appears at t is a mean that ends at t − lag. `instant_window_ms`: the window of the instant reading.
    `power_update_ms`: how often the readings are renewed, at the most slowly, where they do not show it themselves.
    `power_usage`: what NVML's plain power reading means. `highest_power_w`: more than any board of the family draws
    over milliseconds.
    """

    family: Family
    counter_lag_ms: Interval
    power_lag_ms: Interval
    instant_window_ms: Interval
    power_update_ms: float
    power_usage: PowerMeaning
    highest_power_w: float


# First match wins: longer names before the shorter ones that they contain. A number alone says little: RTX 4000 is
# Turing as a Quadro, Ampere with an A, and otherwise Ada or Blackwell, which the name then says.
_FAMILY_BY_SUBSTRING: tuple[tuple[str, Family], ...] = (
    ("BLACKWELL", Family.BLACKWELL),
    (" ADA", Family.ADA),
    ("QUADRO RTX", Family.TURING),
    ("TITAN RTX", Family.TURING),
    ("RTX A", Family.AMPERE),
    ("RTX 2050", Family.AMPERE),
    ("GH200", Family.HOPPER),
    ("H100", Family.HOPPER),
    ("H200", Family.HOPPER),
    ("H800", Family.HOPPER),
    ("H20", Family.HOPPER),
    ("GB200", Family.BLACKWELL),
    ("GB300", Family.BLACKWELL),
    ("GB10", Family.BLACKWELL),
    ("B100", Family.BLACKWELL),
    ("B200", Family.BLACKWELL),
    ("B300", Family.BLACKWELL),
    ("RTX 50", Family.BLACKWELL),
    ("L40", Family.ADA),
    ("L20", Family.ADA),
    ("NVIDIA L4", Family.ADA),
    ("NVIDIA L2", Family.ADA),
    ("RTX 40", Family.ADA),
    ("A100", Family.GA100),
    ("A800", Family.GA100),
    ("A30", Family.GA100),
    ("A40", Family.AMPERE),
    ("A10", Family.AMPERE),
    ("A16", Family.AMPERE),
    ("NVIDIA A2", Family.AMPERE),
    ("RTX 30", Family.AMPERE),
    ("MX57", Family.AMPERE),
    ("RTX 20", Family.TURING),
    ("GTX 16", Family.TURING),
    ("MX45", Family.TURING),
    ("MX55", Family.TURING),
    ("V100", Family.VOLTA),
    ("TITAN V", Family.VOLTA),
    ("GV100", Family.VOLTA),
    ("P100", Family.PASCAL),
    ("P40", Family.PASCAL),
    ("TESLA P4", Family.PASCAL),
    ("TITAN XP", Family.PASCAL),
    ("(PASCAL)", Family.PASCAL),
    ("GTX 10", Family.PASCAL),
    ("GT 10", Family.PASCAL),
    ("QUADRO P", Family.PASCAL),
    ("MX15", Family.PASCAL),
    ("MX2", Family.PASCAL),
    ("MX3", Family.PASCAL),
    ("TITAN X", Family.MAXWELL),
    ("TESLA M", Family.MAXWELL),
    ("QUADRO M", Family.MAXWELL),
    ("GTX 9", Family.MAXWELL),
    ("MX1", Family.MAXWELL),
)
# T4, T400, T500, T600, T1000, T1200, T2000: with or without Tesla, Quadro or NVIDIA before it.
_TURING_T = re.compile(r"\bT(4|4G|400|500|550|600|1000|1200|2000)\b")

_COUNTER_LAG_MS = {Family.HOPPER: Interval(5, 15, 30), Family.GA100: Interval(67, 125, 179)}
_UNKNOWN_COUNTER_LAG_MS = Interval(0, 75, 150)
# A load's first full reading appears within 50 ms of its start on A100 and RTX 3090, faster than the counter shows it.
_POWER_LAG_MS = Interval(0, 20, 50)
_INSTANT_WINDOW_MS = {
    Family.HOPPER: Interval(25, 25, 25),
    Family.GA100: Interval(25, 25, 25),
    Family.AMPERE: Interval(100, 100, 100),
}
_UNKNOWN_INSTANT_WINDOW_MS = Interval(10, 50, 100)
# What the strongest boards of a family are rated for: H100 and H200 SXM 700 W (the module of a GH200, 1000 W, stays
# under twice that), A100 SXM 400 W, RTX 3090 Ti and 4090 450 W (some 600 W), V100 350 W, GB300 1400 W; of the others
# none reaches 400 W.
_RATED_POWER_W = {
    Family.HOPPER: 700.0,
    Family.GA100: 400.0,
    Family.AMPERE: 600.0,
    Family.ADA: 600.0,
    Family.VOLTA: 400.0,
    Family.TURING: 400.0,
    Family.PASCAL: 400.0,
    Family.MAXWELL: 400.0,
}
_UNKNOWN_RATED_POWER_W = 1400.0
_EXCURSION = 2.0
"""By how much a board may exceed what it is rated for over 10 ms (PCI Express card specification 5.0, and ATX 3.0 for
the supplies that must bear it); what it may draw beyond that is over within a millisecond."""
_UPDATE_MS, _UNKNOWN_UPDATE_MS = 100.0, 500.0
"""Known boards renew their power readings every 20 (Pascal, Volta) to 100 ms, others perhaps every 500 ms."""
_INSTANT_POWER_USAGE = frozenset({Family.GA100, Family.TURING, Family.VOLTA, Family.PASCAL, Family.MAXWELL})

AVERAGE_WINDOW_MS = Interval(1000, 1050, 1100)
"""The window of the average power reading (field 185, and power usage on Ampere and newer except GA100)."""


def family_of(name: str) -> Family:
    """The family of the board with NVML's `name`; `Family.UNKNOWN` where no known part is in it."""
    upper = name.upper()
    if _TURING_T.search(upper):
        return Family.TURING
    for part, family in _FAMILY_BY_SUBSTRING:
        if part in upper:
            return family
    return Family.UNKNOWN


def board_facts(name: str) -> BoardFacts:
    """What the estimator has to know of the board with NVML's `name`."""
    family = family_of(name)
    return BoardFacts(
        family=family,
        counter_lag_ms=_COUNTER_LAG_MS.get(family, _UNKNOWN_COUNTER_LAG_MS),
        power_lag_ms=_POWER_LAG_MS,
        instant_window_ms=_INSTANT_WINDOW_MS.get(family, _UNKNOWN_INSTANT_WINDOW_MS),
        power_update_ms=_UNKNOWN_UPDATE_MS if family is Family.UNKNOWN else _UPDATE_MS,
        power_usage=PowerMeaning.INSTANT if family in _INSTANT_POWER_USAGE else PowerMeaning.AVERAGE,
        highest_power_w=_EXCURSION * _RATED_POWER_W.get(family, _UNKNOWN_RATED_POWER_W),
    )


def is_simulated(name: str, environment: Mapping[str, str]) -> bool:
    """Whether a board is not real: its name says so, or the marker variable in `environment` does."""
    return "simulated" in name.lower() or environment.get(SIMULATED_MARKER_VARIABLE) == "1"
