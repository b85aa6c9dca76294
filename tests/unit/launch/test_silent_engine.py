"""An engine that gives no answer is asked little until it answers again. Its connections and the clock are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import requests

from llem.launch.docker.engine import Engine, EngineFacts
from llem.launch.protocol import LaunchFailed


class PlayedConnection:
    """Counts its calls, each with the time-out that it had, and answers while it is told to."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout = timeout_s
        self.calls: list[tuple[str, float]] = []
        self.silent: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            self.calls.append((name, self.timeout))
            if name in self.silent or "all" in self.silent:
                raise requests.exceptions.ReadTimeout("timed out")
            return {"State": {"Status": "running"}}

        return call


class Played:
    """An engine of two such connections, and a clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slow, self.brisk = PlayedConnection(60), PlayedConnection(15)
        facts = EngineFacts("Docker 28.3.0", 1 << 34)
        self.engine = Engine(cast(Any, self.slow), cast(Any, self.brisk), facts, now=lambda: self.now_s)

    def unanswered(self, call: Callable[[Engine], object]) -> bool:
        try:
            call(self.engine)
        except LaunchFailed as failure:
            return "did not answer in time" in failure.message
        return False


def test_claim_6_11_after_a_call_without_an_answer_the_next_ones_cost_one_short_question_in_all() -> None:
    played = Played()
    played.brisk.silent = played.slow.silent = {"all"}
    assert played.unanswered(lambda engine: engine.inspect("x"))
    further: list[Callable[[Engine], object]] = [
        lambda engine: engine.stop("x", 15), lambda engine: engine.kill("x"), lambda engine: engine.logs("x"),
        lambda engine: engine.remove("x"), lambda engine: engine.containers({}),
    ]  # fmt: skip
    assert all(played.unanswered(call) for call in further)
    assert not played.engine.answers()
    assert played.brisk.calls == [("inspect_container", 15), ("ping", 5)]
    assert played.slow.calls == []


def test_claim_6_11_an_engine_that_answers_again_is_asked_as_before() -> None:
    played = Played()
    played.brisk.silent = {"all"}
    assert played.unanswered(lambda engine: engine.inspect("x"))
    assert played.unanswered(lambda engine: engine.inspect("x"))
    played.brisk.silent = set()
    played.now_s = 6
    played.engine.inspect("x")
    played.engine.inspect("x")
    assert played.brisk.calls[-3:] == [("ping", 5), ("inspect_container", 5), ("inspect_container", 15)]


@pytest.mark.parametrize("call", ["remove", "containers"])
def test_claim_6_11_one_that_answers_questions_and_does_nothing_is_not_waited_for_long(call: str) -> None:
    played = Played()
    played.brisk.silent = {"inspect_container", "remove_container", "containers"}
    assert played.unanswered(lambda engine: engine.inspect("x"))
    assert played.unanswered(lambda engine: getattr(engine, call)({} if call == "containers" else "x"))
    assert played.brisk.calls[-1][1] == 5
    assert played.slow.calls == []
