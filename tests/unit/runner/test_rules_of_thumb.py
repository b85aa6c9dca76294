"""Rules of thumb, each on both sides of its limit, with its numbers in the words."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner import rules_of_thumb
from llem_runner.metrics.foreign import MEMORY_BYTES, Occupancy
from llem_runner.metrics.quality import foreign_processes
from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board


def board(index: int = 0, **keys: Any) -> Board:
    return Board(f"GPU-{index}", index, "NVIDIA H100", "", Family.HOPPER, False, (), None, "gpu", "gpu", None, **keys)


@pytest.mark.parametrize(
    ("duration_s", "rise_c", "codes", "numbers"),
    [
        (10.0, 10.0, [], []),
        (9.99, 10.0, ["window_short"], ["9.99 s long", "Below 10 s"]),
        (3.21, None, ["window_short"], ["3.21 s"]),
        (10.0, 10.1, ["temperature_rise"], ["10.1 °C warmer"]),
        (60.0, 23.0, ["temperature_rise"], ["23 °C warmer", "above 10 °C"]),
        (60.0, None, [], []),
        (60.0, -12.0, [], []),
        (5.0, 12.0, ["window_short", "temperature_rise"], ["5 s long", "12 °C"]),
    ],
)
def test_claim_8_13_a_short_window_and_a_rising_temperature_are_warnings_with_numbers(
    duration_s: float, rise_c: float | None, codes: list[str], numbers: list[str]
) -> None:
    told = list(rules_of_thumb.of_the_window(duration_s, rise_c))
    assert [code for code, _ in told] == codes
    words = " ".join(message for _, message in told)
    assert all(number in words for number in numbers)


@pytest.mark.parametrize(("n", "limit", "told"), [(8, 8, False), (9, 8, False), (7, 8, True), (1, 256, True)])
def test_claim_8_13_fewer_prompts_than_the_batch_holds_are_a_warning_with_numbers(
    n: int, limit: int, told: bool
) -> None:
    found = list(rules_of_thumb.of_the_batch(n, limit))
    assert [code for code, _ in found] == (["batch_not_filled"] if told else [])
    assert not told or f"{n} prompts do not fill a batch of {limit}" in found[0][1]


@pytest.mark.parametrize(("share", "told"), [(None, False), (0.0, False), (0.1, False), (0.11, True), (0.9, True)])
def test_claim_9_12_much_padding_is_a_warning_with_its_share_and_a_remedy(share: float | None, told: bool) -> None:
    found = list(rules_of_thumb.of_the_padding(share))
    assert [code for code, _ in found] == (["padding"] if told else [])
    assert not told or (f"{share:.0%}" in found[0][1] and "batch_order: by_length" in found[0][1])


@pytest.mark.parametrize(("mode", "told"), [(True, False), (None, False), (False, True)])
def test_claim_8_13_persistence_mode_off_is_a_warning_that_names_the_gpu(mode: bool | None, told: bool) -> None:
    found = list(rules_of_thumb.of_the_boards([board(3, state={"persistence": mode})], [Occupancy()]))
    assert [code for code, _ in found] == (["persistence_mode_off"] if told else [])
    assert not told or "GPU 3" in found[0][1]


@pytest.mark.parametrize(
    ("used_bytes", "told"), [(None, False), (MEMORY_BYTES, False), (MEMORY_BYTES + 1, True), (3 * 2**30, True)]
)
def test_claim_8_13_memory_in_use_before_the_load_is_a_warning_with_numbers(used_bytes: int | None, told: bool) -> None:
    boards = [board(0), board(1)]
    found = list(rules_of_thumb.of_the_boards(boards, [Occupancy(), Occupancy(bytes_before=used_bytes)]))
    assert [code for code, _ in found] == (["memory_in_use_before"] if told else [])
    assert not told or f"{(used_bytes or 0) / 2**30:.1f} GiB of GPU 1" in found[0][1]


@pytest.mark.parametrize(
    ("seen", "own", "code", "words"),
    [
        (Occupancy(0, 1, 0), 1, None, ""),
        (Occupancy(2, 3, 0), 1, "foreign_processes", "before the load: 2, in the window: 3, of the run itself: 1"),
        (Occupancy(0, 0, 0), 1, "foreign_processes_unknown", "before the load: 0, in the window: 0"),
        (Occupancy(), None, "foreign_processes_unknown", "before the load: unknown, in the window: unknown"),
    ],
)
def test_claim_8_8_strangers_and_not_knowing_of_any_are_told_with_numbers(
    seen: Occupancy, own: int | None, code: str | None, words: str
) -> None:
    found = list(rules_of_thumb.of_the_company(foreign_processes([seen], own), [seen], own))
    assert [each for each, _ in found] == ([code] if code else [])
    assert not code or words in found[0][1]


def test_without_a_recording_nobody_is_missed() -> None:
    assert list(rules_of_thumb.of_the_company(foreign_processes([], 1), [], 1)) == []
