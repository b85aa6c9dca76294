"""The lines that a person sees while a model is fetched."""

from __future__ import annotations

from llem.launch.hub.progress import Progress


def lines(total_bytes: int, *looks: tuple[float, int]) -> list[str]:
    """What is said of a download that had so many bytes at these seconds."""
    said: list[str] = []
    clock_s = [0.0]
    progress = Progress("org/tiny", total_bytes, said.append, lambda: clock_s[0])
    for at_s, n_bytes in looks:
        clock_s[0] = at_s
        progress.at(n_bytes)
    progress.done()
    return said


def test_claim_10_6_a_download_says_how_far_it_is_soon_and_then_now_and_then() -> None:
    looks = [(1.0, 100_000_000), (2.5, 250_000_000), (9.0, 900_000_000), (12.5, 1_500_000_000), (20.0, 2_000_000_000)]
    assert lines(2_000_000_000, *looks) == [
        "Fetching org/tiny, 2.0 GB …",
        "org/tiny: 250.0 MB of 2.0 GB (12%), 100 MB/s",
        "org/tiny: 1.5 GB of 2.0 GB (75%), 120 MB/s",
        "org/tiny is there: 2.0 GB in 20 s.",
    ]


def test_claim_10_6_where_nothing_is_missing_nothing_is_said_of_a_download() -> None:
    assert lines(0, (5.0, 0)) == []
