from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from llem.execution.interrupts import Interrupts


def test_claim_18_one_ctrl_c_requests_and_two_are_urgent() -> None:
    urgent: list[bool] = []
    with Interrupts() as interrupts:
        interrupts.on_urgent = lambda: urgent.append(True)
        os.kill(os.getpid(), signal.SIGINT)
        assert (interrupts.requested, interrupts.urgent, urgent) == (True, False, [])
        os.kill(os.getpid(), signal.SIGINT)
        assert (interrupts.requested, interrupts.urgent, urgent) == (True, True, [True])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_ask_once_however_often_they_come(number: signal.Signals) -> None:
    # Whoever runs the tests may have been started to ignore it (nohup).
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with Interrupts() as interrupts:
            for _ in range(5):
                os.kill(os.getpid(), number)
            assert (interrupts.requested, interrupts.urgent) == (True, False)
    finally:
        signal.signal(number, before)


def test_what_we_were_started_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_request_wakes_whoever_waits() -> None:
    with Interrupts() as interrupts:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        start_s = time.monotonic()
        assert interrupts.wait(60)
        assert time.monotonic() - start_s < 30
        assert interrupts.wait(60)


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
