"""Every row of the table "Exit codes and failure kinds", and the words that go with it."""

from __future__ import annotations

import signal

import pytest

from llem.ended import Ended
from llem.results.diagnose import diagnose
from llem_runner.contract import CONTRACT_VERSION, ErrorReport, FailureKind

K = FailureKind

# exit code, state, our own reason → kind
ROWS: list[tuple[int | None, dict[str, bool], FailureKind | None, FailureKind]] = [
    (0, {}, None, K.RESULT_INVALID),
    (0, {}, K.TIMEOUT, K.RESULT_INVALID),
    (0, {"oom_killed": True}, None, K.RESULT_INVALID),
    (2, {}, None, K.CONTRACT_MISMATCH),
    (3, {}, None, K.BACKEND),
    (4, {}, None, K.MODEL),
    (5, {}, None, K.ACCELERATOR_OOM),
    (6, {}, None, K.GPU_LOST),
    (7, {}, None, K.INFERENCE),
    (5, {}, K.TIMEOUT, K.ACCELERATOR_OOM),
    (7, {}, K.INTERRUPTED, K.INFERENCE),
    (8, {}, K.TIMEOUT, K.TIMEOUT),
    (8, {}, K.STALLED, K.STALLED),
    (8, {}, K.INTERRUPTED, K.INTERRUPTED),
    (137, {}, K.INTERRUPTED, K.INTERRUPTED),
    (-9, {}, K.TIMEOUT, K.TIMEOUT),
    (143, {}, K.STALLED, K.STALLED),
    (-15, {}, K.INTERRUPTED, K.INTERRUPTED),
    (-2, {}, K.INTERRUPTED, K.INTERRUPTED),
    (137, {"oom_killed": True}, K.TIMEOUT, K.TIMEOUT),
    (137, {"paused": True}, K.STALLED, K.STALLED),
    (None, {"removed": True}, K.TIMEOUT, K.TIMEOUT),
    (137, {"oom_killed": True}, None, K.CONTAINER_OOM),
    (1, {"oom_killed": True}, None, K.CONTAINER_OOM),
    (7, {"oom_killed": True}, None, K.CONTAINER_OOM),
    (7, {"oom_killed": True}, K.TIMEOUT, K.INFERENCE),
    (137, {}, None, K.KILLED),
    (-9, {}, None, K.KILLED),
    (8, {}, None, K.KILLED),
    (None, {"removed": True}, None, K.KILLED),
    (None, {}, None, K.KILLED),
    (137, {"paused": True}, None, K.STALLED),
    (8, {"paused": True}, None, K.STALLED),
    (None, {"removed": True, "paused": True}, None, K.STALLED),
    (126, {}, None, K.IMAGE_UNUSABLE),
    (127, {}, None, K.IMAGE_UNUSABLE),
    (1, {}, None, K.RUNNER_CRASH),
    (134, {}, None, K.RUNNER_CRASH),
    (139, {}, None, K.RUNNER_CRASH),
    (-11, {}, None, K.RUNNER_CRASH),
    (-6, {}, None, K.RUNNER_CRASH),
    (143, {}, None, K.RUNNER_CRASH),
    (9, {}, None, K.RUNNER_CRASH),
    (255, {}, None, K.RUNNER_CRASH),
    (255, {"engine_gone": True}, None, K.ENGINE_UNREACHABLE),
    (139, {}, K.TIMEOUT, K.RUNNER_CRASH),
]


def error(kind: FailureKind, message: str) -> ErrorReport:
    return ErrorReport(
        contract_version=CONTRACT_VERSION, nonce="0123456789abcdef", kind=kind, message=message, phase="measure"
    )


@pytest.mark.parametrize(("exit_code", "state", "asked", "kind"), ROWS)
def test_claim_22_kind_is_the_one_of_the_table(
    exit_code: int | None, state: dict[str, bool], asked: FailureKind | None, kind: FailureKind
) -> None:
    assert diagnose(Ended(exit_code, **state), asked).kind is kind


@pytest.mark.parametrize("exit_code", [139, -11])
def test_a_crash_names_its_signal(exit_code: int) -> None:
    assert "SIGSEGV" in diagnose(Ended(exit_code), None).message


def test_every_signal_of_a_subprocess_counts_as_128_plus_its_number() -> None:
    for number in signal.valid_signals():
        assert diagnose(Ended(-number), None) == diagnose(Ended(128 + number), None)


def test_the_exit_code_decides_the_kind_and_error_json_gives_the_words() -> None:
    failure = diagnose(Ended(5), None, error(K.ACCELERATOR_OOM, "CUDA out of memory: 3 GiB more were needed."))
    assert failure.kind is K.ACCELERATOR_OOM
    assert failure.message.startswith("CUDA out of memory: 3 GiB more were needed; in phase measure.")
    contradicted = diagnose(Ended(6), None, error(K.MODEL, "no such model"))
    assert contradicted.kind is K.GPU_LOST
    assert "it said: no such model" in contradicted.message


def test_claim_6_13_a_runner_that_had_no_room_to_say_why_it_failed_failed_for_want_of_room() -> None:
    failure = diagnose(Ended(1), None, no_room=True)
    assert failure.kind is K.DISK
    assert failure.message.startswith("a file could not be written: the disk is full. Make room")
    assert diagnose(Ended(1), None, error(K.RUNNER_CRASH, "a bug"), no_room=True).kind is K.RUNNER_CRASH
    assert diagnose(Ended(139), None, no_room=True).kind is K.RUNNER_CRASH


def test_why_a_result_was_rejected_is_in_the_message() -> None:
    assert "out/result.json is missing" in diagnose(Ended(0), None, None, "out/result.json is missing").message


def test_a_crash_after_we_asked_says_that_we_had_asked() -> None:
    assert "after llem had asked it to stop (timeout)" in diagnose(Ended(139), K.TIMEOUT).message


def test_our_own_reason_is_given_in_our_own_words() -> None:
    words = "stopped in phase measure: no sign of life for 300 s"
    failure = diagnose(Ended(8), K.STALLED, error(K.INTERRUPTED, "SIGTERM"), None, asked_words=words)
    assert failure.kind is K.STALLED
    assert failure.message.startswith(f"{words}. ")
    assert "SIGTERM" not in failure.message
    assert words in diagnose(Ended(5), K.STALLED, None, None, asked_words=words).message


def test_a_strangers_words_cannot_write_to_the_terminal() -> None:
    message = diagnose(Ended(7), None, error(K.INFERENCE, "\x1b[2J\x07\x9bfine\u202e" + "x" * 10_000)).message
    assert "\x1b" not in message
    assert "\x9b" not in message
    assert "\u202e" not in message
    assert len(message) < 3000


def test_every_kind_says_what_to_do() -> None:
    for exit_code, state, asked, _ in ROWS:
        message = diagnose(Ended(exit_code, **state), asked).message
        assert message.endswith(".")
        assert ". " in message


def test_claim_22_a_runner_that_says_the_disk_was_full_is_disk_whatever_its_exit_code_says_otherwise() -> None:
    said = ErrorReport(
        contract_version=CONTRACT_VERSION, nonce="n", kind=FailureKind.DISK, message="out/: no room", phase="measure"
    )
    failure = diagnose(Ended(1), None, said)
    assert failure.kind is FailureKind.DISK
    assert "no room" in failure.message
    assert diagnose(Ended(7), None, said).kind is FailureKind.INFERENCE
