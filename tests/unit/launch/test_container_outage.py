"""A run in hand whose engine goes away: what is made of what the engine says next. Engine and clock are played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from llem.ended import Ended
from llem.launch.docker import Patience
from llem.launch.docker.container import Container
from llem.launch.docker.engine import Engine
from llem.launch.docker.faults import ContainerGone
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

AWAY = LaunchFailed(FailureKind.ENGINE_UNREACHABLE, "it did not answer")
GONE = ContainerGone("No such container")


def state(status: str, code: int = 0, **more: Any) -> dict[str, Any]:
    return {"State": {"Status": status, "ExitCode": code, "OOMKilled": False, "Paused": False, **more}}


RUNS = state("running")


class PlayedEngine:
    """Answers one look a second, with what it is given; the last answer for ever."""

    def __init__(self, answers: Sequence[Any], pings: bool = True) -> None:
        self._answers = answers
        self._pings = pings
        self.looks = 0

    def inspect(self, name: str) -> dict[str, Any]:
        answer = self._answers[min(self.looks, len(self._answers) - 1)]
        self.looks += 1
        if isinstance(answer, Exception):
            raise answer
        return cast(dict[str, Any], answer)

    def answers(self) -> bool:
        return self._pings


def followed(engine: PlayedEngine, folder: Path) -> tuple[Ended, float, list[str]]:
    """How the run ended, after how many seconds, and what people were told."""
    clock_s, told = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        clock_s[0] += seconds

    container = Container(
        cast(Engine, engine), "llem-x", folder, Patience(), told.append, now=lambda: clock_s[0], sleep=sleep
    )
    while (ended := container.look()) is None:
        assert clock_s[0] < 1000, "it never ends"
        clock_s[0] += 0.2
    return ended, clock_s[0], told


@pytest.mark.parametrize(
    ("answers", "pings", "ended"),
    [
        # The run ended as it should while nobody could be asked: its result counts.
        ([RUNS, AWAY, AWAY, state("exited", 0)], True, Ended(0, engine_gone=True)),
        ([RUNS, AWAY, state("exited", 137)], True, Ended(137, engine_gone=True)),
        # The engine killed with its containers: it has no exit code for them.
        ([RUNS, AWAY, state("exited", 255)], True, Ended(255, engine_gone=True)),
        # Data of the engine were lost with it.
        ([RUNS, AWAY, GONE], True, Ended(None, removed=True, engine_gone=True)),
        # It shuts down: containers first, then itself.
        ([RUNS, state("exited", 143)], False, Ended(143, engine_gone=True)),
        ([RUNS, state("exited", 137)], True, Ended(137)),
        # Containers may outlive their engine: an outage long ago is not why a run failed.
        ([RUNS, AWAY, RUNS, state("exited", 5)], True, Ended(5)),
        ([state("paused", Paused=True), GONE], True, Ended(None, removed=True, paused=True)),
    ],
)
def test_claim_6_13_a_run_whose_engine_went_away_is_judged_by_what_the_engine_says_when_it_is_back(
    answers: list[Any], pings: bool, ended: Ended, tmp_path: Path
) -> None:
    assert followed(PlayedEngine(answers, pings), tmp_path)[0] == ended


def test_claim_6_13_an_engine_that_does_not_come_back_is_waited_for_a_minute_and_a_half_and_that_is_said_once(
    tmp_path: Path,
) -> None:
    ended, after_s, told = followed(PlayedEngine([RUNS, AWAY]), tmp_path)
    assert ended == Ended(None, engine_gone=True)
    assert 90 < after_s < 95
    assert told == ["The container engine does not answer: waiting for it, 90 s at most."]


def test_claim_6_13_each_outage_has_its_own_patience_and_is_told(tmp_path: Path) -> None:
    ended, after_s, told = followed(
        PlayedEngine([RUNS, *[AWAY] * 60, RUNS, *[AWAY] * 60, RUNS, state("exited")]), tmp_path
    )
    assert ended == Ended(0)
    assert after_s > 120
    assert len(told) == 2
