"""What becomes of containers that are left, where the engine does not do as it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llem.launch.docker.leftovers import labels_of, other_user, remove_leftovers, remove_of_study
from llem.launch.protocol import Attempt, LaunchFailed
from llem_runner.contract import ExperimentConfig, FailureKind

UID, STUDY, GPU = 1000, "5" * 12, "GPU-a"


class Engine:
    """Has containers; does not remove those whose name ends with `stays`."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self.there = list(containers)

    def containers(self, labels: Mapping[str, str | None]) -> Sequence[dict[str, Any]]:
        return [
            each
            for each in self.there
            if all(name in each["Labels"] and value in (None, each["Labels"][name]) for name, value in labels.items())
        ]

    def remove(self, container: str) -> None:
        if container.endswith("stays"):
            raise LaunchFailed(FailureKind.ENGINE_UNREACHABLE, "it hangs.")
        self.there = [each for each in self.there if each["Id"] != container]

    @property
    def ids(self) -> list[str]:
        return [each["Id"] for each in self.there]


def left(folder: Path, identity: str, *, study: str = STUDY, uid: int = UID, **changes: Any) -> dict[str, Any]:
    """A container that runs on GPU, of the study in `folder`, whose owner is dead if there is a `.lock`."""
    config = ExperimentConfig(model="m")
    attempt = Attempt(study, identity, 1, "0" * 32, folder, folder, config, "m")
    labels = labels_of(attempt, uid, ["GPU-b", GPU])
    return {"Id": identity, "Names": [f"/{attempt.handle}"], "Labels": labels, "State": "running", **changes}


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    (tmp_path / ".lock").touch()
    return tmp_path


def test_claim_6_10_one_container_that_cannot_be_removed_keeps_nobody_and_each_is_told(dead: Path) -> None:
    engine = Engine(left(dead, "a-stays"), left(dead, "b"), left(dead, "c", study="6" * 12))
    notices: list[str] = []
    remove_leftovers(engine, UID, notices.append, None)
    assert engine.ids == ["a-stays"]
    assert [notice.split(", ")[0].removesuffix("-" + "0" * 32) for notice in notices] == [
        f"Container llem-{STUDY}-a-stays",
        f"Container llem-{STUDY}-b",
        f"Container llem-{'6' * 12}-c",
    ]
    assert notices[0].endswith("could not be removed: it hangs.")
    assert all(notice.endswith("was removed.") for notice in notices[1:])


def test_claim_6_10_of_a_study_that_ends_all_is_removed_that_can_be(dead: Path) -> None:
    engine = Engine(left(dead, "a-stays"), left(dead, "b"), left(dead, "c", study="6" * 12), left(dead, "d", uid=7))
    notices: list[str] = []
    remove_of_study(engine, STUDY, UID, notices.append)
    assert engine.ids == ["a-stays", "c", "d"]
    assert len(notices) == 2


def test_claim_6_10_a_study_that_goes_on_keeps_its_own_wherever_it_is_now(dead: Path) -> None:
    engine = Engine(left(dead, "a"), left(dead, "b", study="6" * 12), left(dead / "gone", "c"))
    remove_leftovers(engine, UID, lambda notice: None, STUDY)
    assert engine.ids == ["a", "c"]


@pytest.mark.parametrize(
    ("changes", "uid", "uses"),
    [
        ({}, UID, None),
        ({}, 4711, "of user 4711"),
        ({"State": "exited"}, 4711, None),
        ({"State": "paused"}, 4711, "of user 4711"),
        ({"Names": ["/made-by-somebody"]}, 4711, None),
    ],
    ids=["own", "another user's", "ended", "paused", "of an image with our labels"],
)
def test_claim_6_5_who_uses_a_gpu_without_a_lease(dead: Path, changes: Any, uid: int, uses: str | None) -> None:
    engine = Engine(left(dead, "a", uid=uid, **changes), left(dead, "b"))
    told = other_user(engine, GPU, "7" * 12, UID, lambda notice: None)
    assert (told is None) if uses is None else (told is not None and uses in told)
    # Ours goes, whoever else is there.
    assert "b" not in engine.ids
    assert other_user(engine, "GPU-c", "7" * 12, UID, lambda notice: None) is None


def test_claim_6_5_a_container_of_ours_that_cannot_be_judged_or_removed_is_waited_for(dead: Path) -> None:
    unseen = Engine(left(dead / "gone", "a"))
    told = other_user(unseen, GPU, "7" * 12, UID, lambda notice: None)
    assert f"docker rm -f llem-{STUDY}-a-" in str(told)
    stays = Engine(left(dead, "a-stays"))
    assert "which outlived its llem" in str(other_user(stays, GPU, "7" * 12, UID, lambda notice: None))
    # Whoever cannot tell people of it removes nothing.
    ours = Engine(left(dead, "a"))
    assert "which outlived its llem" in str(other_user(ours, GPU, "7" * 12, UID, None))
    assert ours.ids == ["a"]
    # One of the study that asks does not keep it from its GPU.
    assert other_user(ours, GPU, STUDY, UID, None) is None
