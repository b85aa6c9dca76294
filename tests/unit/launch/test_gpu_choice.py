from __future__ import annotations

from pathlib import Path

import pytest

from llem.errors import NotReadyError, UsageError
from llem.launch.gpu_choice import choose_gpus
from llem.launch.gpus import Gpu, driver_installed, visible

FIRST = Gpu("GPU-aaaa", "NVIDIA A100", "00000000:10:00.0", 0)
SECOND = Gpu("GPU-bbbb", "NVIDIA H100", "00000000:11:00.0", 1)
THIRD = Gpu("GPU-cccc", "NVIDIA H100", "00000000:12:00.0", 2)
ALL = [FIRST, SECOND, THIRD]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, ALL),
        ([1], [SECOND]),
        ([2, 0], [THIRD, FIRST]),
        (["GPU-cccc", 1], [THIRD, SECOND]),
        (["gpu-BBBB"], [SECOND]),
        (["2"], [THIRD]),
    ],
    ids=str,
)
def test_claim_6_5_gpus_are_chosen_by_index_or_uuid_in_the_order_written(
    wanted: list[int | str] | None, chosen: list[Gpu]
) -> None:
    assert choose_gpus(ALL, wanted) == chosen


def test_claim_6_5_an_index_is_nvmls_also_where_cuda_visible_devices_leaves_only_some() -> None:
    assert choose_gpus([THIRD, SECOND], [1]) == [SECOND]


@pytest.mark.parametrize("wanted", [[3], ["GPU-dddd"], [0, 3], ["GPU-aaa"], [-1], [""]], ids=str)
def test_claim_6_13_a_gpu_that_is_not_there_is_said_with_all_that_are(wanted: list[int | str]) -> None:
    with pytest.raises(NotReadyError) as raised:
        choose_gpus(ALL, wanted)
    message = str(raised.value)
    assert f"execution.gpus names {wanted[-1]}, and no such GPU is there" in message
    assert all(f"{gpu.index} {gpu.name} ({gpu.uuid})" in message for gpu in ALL)


def test_claim_6_13_a_gpu_wanted_on_a_machine_without_any_is_said_to_be_absent() -> None:
    with pytest.raises(NotReadyError, match=r"no such GPU is there.* UUID\): none"):
        choose_gpus([], [0])


@pytest.mark.parametrize("name", [0, "gpu-aaaa"])
def test_claim_6_13_a_gpu_that_cuda_visible_devices_hides_is_said_to_be_hidden(name: int | str) -> None:
    with pytest.raises(NotReadyError, match=r"0 NVIDIA A100 \(GPU-aaaa\), which is there, but CUDA_VISIBLE_DEVICES"):
        choose_gpus([SECOND, THIRD], [name], hidden=[FIRST])


def test_claim_6_13_a_part_of_a_gpu_is_refused_with_the_reason() -> None:
    with pytest.raises(NotReadyError, match="a part of a GPU"):
        choose_gpus(ALL, ["MIG-1234"])


@pytest.mark.parametrize("wanted", [[1, 1], [1, "GPU-bbbb"], ["GPU-bbbb", "gpu-BBBB"]], ids=str)
def test_claim_6_5_a_gpu_named_twice_is_a_wrong_study_and_is_named(wanted: list[int | str]) -> None:
    with pytest.raises(UsageError, match=r"GPU 1 NVIDIA H100 \(GPU-bbbb\) twice"):
        choose_gpus(ALL, wanted)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (None, ALL),
        ("", []),
        ("2,0", [THIRD, FIRST]),
        ("GPU-b", [SECOND]),
        ("0,9,1", [FIRST]),
        ("-1", []),
    ],
    ids=str,
)
def test_claim_6_5_an_inherited_cuda_visible_devices_is_respected_wherever_the_list_is_from(
    value: str | None, left: list[Gpu]
) -> None:
    environment = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert visible([THIRD, FIRST, SECOND], environment) == left


def test_claim_6_5_a_visible_part_of_a_gpu_is_refused() -> None:
    with pytest.raises(NotReadyError, match=r"MIG-7.*a part of a GPU"):
        visible(ALL, {"CUDA_VISIBLE_DEVICES": "MIG-7"})


@pytest.mark.parametrize(
    "files",
    [["proc/driver/nvidia/version"], ["dev/dxg", "usr/lib/wsl/lib/libnvidia-ml.so.1"]],
    ids=["kernel module", "wsl"],
)
def test_claim_6_5_a_driver_is_seen_by_its_files(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert driver_installed(tmp_path)
