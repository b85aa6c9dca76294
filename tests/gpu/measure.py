"""One board, from its first pulse to the report: recordings of three rhythms of load, Zeus beside one, and speed."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.accuracy.rivals import RivalMissing

from llem_runner.power.boards import BoardFacts, PowerMeaning, board_facts
from llem_runner.power.recorder import Recorder
from llem_runner.power.sensors import Board
from llem_runner.power.series import Series
from llem_runner.power.timeline import Timeline

from .activity import Activity, Load, Pulse, beating_pulses, long_pulses, short_pulses
from .characterise import PowerFound, TooLittle, counter_found, integration_found, power_found
from .speed import slowdown
from .zeus_beside import ZeusBeside, compared

FINE_S, USUAL_S = 0.003, 0.047
"""How often the board is read: to time its sensors, and as llem does it otherwise."""
_BEFORE_S, _AFTER_S = 1.5, 2.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Extent:
    """How much is measured: pulses of each kind, seconds of the beating load and beside Zeus, pairs of speed."""

    long: int = 12
    short: int = 60
    beating_s: float = 20.0
    beside_s: float = 40.0
    pairs: int = 40


class Session:
    """Recordings of one board into `folder`."""

    def __init__(self, board: Board, load: Load, folder: Path, rng: random.Random) -> None:
        self._board, self._load, self._folder, self._rng = board, load, folder, rng
        self._recordings = 0

    def recorded(self, pulses: Sequence[Pulse], period_s: float) -> tuple[Series, Activity]:
        """The readings while the pulses ran."""
        with self.recorder(period_s) as (path, _):
            time.sleep(_BEFORE_S)
            activity = self._load.run(pulses)
            time.sleep(_AFTER_S)
        return Timeline.read(path).devices[self._board.uuid], activity

    def beside_zeus(self, zeus: ZeusBeside, duration_s: float) -> tuple[Series, Activity, list[Any]]:
        """The same at llem's usual pace, with Zeus's windows."""
        with self.recorder(USUAL_S) as (path, _):
            time.sleep(_BEFORE_S)
            zeus.begin(time.monotonic(), duration_s, self._rng)
            pulses = short_pulses(round(duration_s / 0.6), self._rng)
            activity = self._load.run(pulses)
            measured = zeus.answer()
            time.sleep(_AFTER_S)
        return Timeline.read(path).devices[self._board.uuid], activity, measured

    @contextmanager
    def recorder(self, period_s: float) -> Iterator[tuple[Path, Recorder]]:
        """A running recorder, and the file it writes."""
        self._recordings += 1
        path = self._folder / f"power-{self._recordings}.csv"
        with Recorder.start(path, [self._board.uuid], period_s) as recorder:
            yield path, recorder


def measured(
    board: Board, load: Load, decode: Callable[[], int], folder: Path, extent: Extent, rng: random.Random, say: Say
) -> dict[str, Any]:
    """Everything of one board as plain data; what could not be had is missing, with the reason under `missing`."""
    session = Session(board, load, folder, rng)
    found: dict[str, Any] = {"counter_scope": board.counter_scope, "power_scope": board.power_scope, "missing": {}}
    facts = board_facts(board.name)
    found["assumed"] = {
        "family": str(facts.family),
        "lag_ms": dataclasses.asdict(facts.counter_lag_ms),
        "instant_window_ms": dataclasses.asdict(facts.instant_window_ms),
    }
    say("irregular short loads: the counter's rhythm and lag, the instant reading's window …")
    series, activity = session.recorded(short_pulses(extent.short, rng), FINE_S)
    counter = _tried(found, "counter", lambda: counter_found(series, activity))
    quick, slow = columns(board, facts)
    instant = _power(found, quick, series, activity)
    if slow:
        say("long loads: the window of the average …")
        _power(found, slow, *session.recorded(long_pulses(extent.long, rng), FINE_S))
    if counter is not None and instant is not None:
        say("52 ms on, 52 ms off: does the counter add up all of it? …")
        beating = session.recorded(beating_pulses(extent.beating_s), FINE_S)
        _tried(found, "integration", lambda: integration_found(*beating, counter, instant))
    if counter is not None:
        _zeus(session, board, extent, found, say)
    say("tokens a second with the recorder and without …")
    with session.recorder(USUAL_S) as (_, recorder):
        found["speed"] = dataclasses.asdict(slowdown(decode, recorder.pid, extent.pairs, rng))
    return found


def columns(board: Board, facts: BoardFacts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The power readings of `board` that follow the load at once, and those that are averages over about a second."""
    plain_is_average = facts.power_usage is PowerMeaning.AVERAGE
    slow = {"power_average_w"} | ({"power_w"} if plain_is_average else set())
    readable = [column for column in ("power_instant_w", "power_w", "power_average_w") if column in board.readings]
    return tuple(c for c in readable if c not in slow), tuple(c for c in readable if c in slow)


def _power(found: dict[str, Any], names: Sequence[str], series: Series, activity: Activity) -> PowerFound | None:
    """What is found of these power readings; returns the first."""
    ones = [_tried(found, name, partial(power_found, series, name, activity)) for name in names]
    return next((one for one in ones if one is not None), None)


def _zeus(session: Session, board: Board, extent: Extent, found: dict[str, Any], say: Say) -> None:
    say("windows beside Zeus …")
    try:
        zeus = ZeusBeside(board.index)
    except RivalMissing as missing:
        found["missing"]["zeus"] = str(missing)
        return
    try:
        series, activity, windows = session.beside_zeus(zeus, extent.beside_s)
    finally:
        zeus.close()
    try:
        counter = counter_found(series, activity)
    except TooLittle as little:
        found["missing"]["zeus"] = str(little)
        return
    beside = compared(windows, series, board_facts(board.name), counter, activity)
    found["zeus"] = [dataclasses.asdict(each) for each in beside]


def _tried(found: dict[str, Any], name: str, find: Callable[[], Any]) -> Any:
    """What was found, kept under its name too; None where the recording did not suffice, with the reason kept."""
    try:
        one = find()
    except TooLittle as little:
        found["missing"][name] = str(little)
        return None
    found[name] = dataclasses.asdict(one)
    return one
