"""A model's folder as a container would see it: links that stay inside, files and folders that others may read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llem.errors import NotReadyError
from llem.launch.docker.folders import check_weights_readable, shown_adapter, shown_model
from llem.launch.docker.request import NOBODY, Shown

ME = 1000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A plain model folder, with a folder in it."""
    folder = tmp_path / "a model"
    (folder / "extra").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "extra/more.json"):
        (folder / name).write_text("{}")
    folder.chmod(0o755)
    return folder


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot in the layout of a hub's cache."""
    root = tmp_path / "models--some--model"
    (root / "blobs").mkdir(parents=True)
    (root / "snapshots" / "abc").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (root / "blobs" / f"sha-of-{name}").write_text("{}")
        (root / "snapshots" / "abc" / name).symlink_to(f"../../blobs/sha-of-{name}")
    for folder in (root, root / "blobs", root / "snapshots", root / "snapshots" / "abc"):
        folder.chmod(0o755)
    return root / "snapshots" / "abc"


def test_claim_6_8_a_folder_is_shown_itself_and_of_a_snapshot_the_models_folder_with_its_blobs(
    model: Path, snapshot: Path
) -> None:
    assert shown_model(str(model)) == (Shown(model, "/model"), "/model")
    assert shown_adapter(str(model)) == (Shown(model, "/adapter"), "/adapter")
    assert shown_model(str(snapshot)) == (Shown(snapshot.parents[1], "/model"), "/model/snapshots/abc")
    assert shown_model("builtin:tiny-llama") is None


def test_claim_6_8_what_everybody_may_read_is_fit_for_a_container_of_root(model: Path, snapshot: Path) -> None:
    (model / "also.json").symlink_to("extra/../config.json")
    (model / "to-the-folder").symlink_to("extra")
    for folder in (model, snapshot):
        check_weights_readable(str(folder), NOBODY)


@pytest.mark.parametrize(
    ("closed", "mode"),
    [("config.json", 0o600), ("extra/more.json", 0o640), ("extra", 0o700), (".", 0o700), (".", 0o744)],
    ids=str,
)
def test_claim_6_8_what_others_may_not_read_is_named_with_the_command_that_allows_it(
    model: Path, closed: str, mode: int
) -> None:
    (model / closed).chmod(mode)
    with pytest.raises(NotReadyError) as refusal:
        check_weights_readable(str(model), NOBODY)
    assert str(model / closed) in str(refusal.value)
    assert f"chmod -R a+rX '{model}'" in str(refusal.value)
    # For the caller himself nothing is different inside, nor for the root of a rootless engine, who is the caller.
    for uid in (ME, 0):
        check_weights_readable(str(model), uid)


@pytest.mark.parametrize("closed", ["blobs/sha-of-config.json", "blobs", "snapshots", "snapshots/abc", "."])
def test_claim_6_8_of_a_snapshot_the_blobs_and_every_folder_on_the_way_count(snapshot: Path, closed: str) -> None:
    root = snapshot.parents[1]
    (root / closed).chmod(0o700)
    with pytest.raises(NotReadyError) as refusal:
        check_weights_readable(str(snapshot), NOBODY)
    # Of the snapshot alone chmod would reach none of the files: it does not follow links.
    assert f"chmod -R a+rX {root}" in str(refusal.value)


def _out(folder: Path) -> None:
    (folder / "bad").symlink_to("../elsewhere")


def _out_of_the_snapshot(folder: Path) -> None:
    (folder / "bad").symlink_to("../../../elsewhere")


def _absolute(folder: Path) -> None:
    (folder / "bad").symlink_to(folder / "config.json")


def _out_and_in_by_name(folder: Path) -> None:
    (folder / "bad").symlink_to(f"../../../{folder.parents[1].name}/snapshots/{folder.name}/config.json")


def _absolute_in_the_second_step(folder: Path) -> None:
    (folder.parents[1] / "blobs" / "second").symlink_to(folder / "config.json")
    (folder / "bad").symlink_to("../../blobs/second")


def _a_folder(folder: Path) -> None:
    (folder / "bad").symlink_to("../../..")


@pytest.mark.parametrize(
    "spoil",
    [_out_of_the_snapshot, _absolute, _out_and_in_by_name, _absolute_in_the_second_step, _a_folder],
    ids=lambda spoil: spoil.__name__,
)
@pytest.mark.parametrize("uid", [NOBODY, ME])
def test_claim_6_8_a_link_that_a_container_could_not_follow_is_named(
    snapshot: Path, spoil: Callable[[Path], None], uid: int
) -> None:
    spoil(snapshot)
    with pytest.raises(NotReadyError, match=r"/bad is a link that leads out of .*cp -L"):
        check_weights_readable(str(snapshot), uid)


def test_claim_6_8_a_link_out_of_a_plain_folder_is_named_and_one_to_the_folder_itself_is_not(model: Path) -> None:
    named = model.with_name("current")
    named.symlink_to(model)
    check_weights_readable(str(named), NOBODY)
    _out(model)
    for folder in (model, named):
        with pytest.raises(NotReadyError, match="/bad is a link that leads out of"):
            check_weights_readable(str(folder), NOBODY)


def test_claim_6_8_links_that_lead_nowhere_are_for_the_loader_to_judge(model: Path) -> None:
    (model / "missing").symlink_to("not-there")
    (model / "loop").symlink_to("loop")
    (model / "deeper").symlink_to("extra/not-there")
    check_weights_readable(str(model), NOBODY)
