"""CUDA_VISIBLE_DEVICES, as CUDA reads it, mapped to NVML's UUIDs."""

from __future__ import annotations

import pytest

from llem_runner.power.visible import PhysicalBoard, names_only_uuids, visible_uuids

# NVML's order is not PCI's here, and the UUIDs are in neither.
B, A, C = "GPU-bbbb0000-1", "GPU-aaaa0000-1", "GPU-aaaa1111-2"
BOARDS = (
    PhysicalBoard(C, "00000000:81:00.0"),
    PhysicalBoard(B, "00000000:0A:00.0"),
    PhysicalBoard(A, "00000000:3b:00.0"),
)
IN_PCI_ORDER = (B, A, C)


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        (None, IN_PCI_ORDER),
        ("", ()),
        ("0", (B,)),
        ("2,0", (C, B)),
        (" 1 , 2 ", (A, C)),
        ("0,1,2", IN_PCI_ORDER),
        ("3", ()),
        ("0,3,1", (B,)),
        ("-1", ()),
        ("0,-1,1", (B,)),
        ("0,0", (B,)),
        ("none", ()),
        ("0,,1", (B,)),
        (B, (B,)),
        ("GPU-bbbb", (B,)),
        ("GPU-AAAA1", (C,)),
        ("GPU-aaaa", ()),
        ("GPU-cccc,0", ()),
        (f"{C},0", (C, B)),
        ("MIG-1234", ("MIG-1234",)),
        ("²", ()),
    ],
)
def test_claim_13_inherited_visible_devices_name_boards_by_pci_order_and_uuid_prefix(
    value: str | None, visible: tuple[str, ...]
) -> None:
    assert visible_uuids(value, BOARDS) == visible


@pytest.mark.parametrize(
    ("value", "only_uuids"),
    [(None, True), ("", True), (f"{A},{B}", True), ("MIG-1", True), ("0", False), (f"{A}, 1", False)],
)
def test_only_a_number_asks_for_the_place_of_every_board(value: str | None, only_uuids: bool) -> None:
    assert names_only_uuids(value) is only_uuids
