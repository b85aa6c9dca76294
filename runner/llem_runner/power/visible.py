"""Which boards an inherited CUDA_VISIBLE_DEVICES leaves to us. Pure.

Follows CUDA's rules: entries are indices or UUID prefixes, in the order given; the first entry that names no board,
or names one twice, hides itself and everything after it. Indices count in PCI order, whatever CUDA_DEVICE_ORDER says:
the runner then names its boards to CUDA by UUID (`allocated.cuda_environment`), so that order is the one that holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIG_PREFIX = "MIG-"
_GPU_PREFIX = "GPU-"


@dataclass(frozen=True)
class PhysicalBoard:
    """What the mapping needs of a board: NVML's `uuid`, and the `pci_bus_id` that orders CUDA's indices."""

    uuid: str
    pci_bus_id: str


def visible_uuids(value: str | None, boards: Sequence[PhysicalBoard]) -> tuple[str, ...]:
    """The UUIDs that `value` of CUDA_VISIBLE_DEVICES leaves visible, in CUDA's order.

    None (unset) leaves all boards, in PCI order; an empty value leaves none. `MIG-` names are returned as they are:
    they name a part of a board, which is CUDA's to resolve, and whose energy nobody can read.
    """
    in_pci_order = tuple(board.uuid for board in sorted(boards, key=lambda board: board.pci_bus_id.lower()))
    if value is None:
        return in_pci_order
    visible: list[str] = []
    for entry in value.split(","):
        uuid = _resolve(entry.strip(), in_pci_order)
        if uuid is None or uuid in visible:
            break
        visible.append(uuid)
    return tuple(visible)


def names_only_uuids(value: str | None) -> bool:
    """Whether `value` of CUDA_VISIBLE_DEVICES can be read without knowing every board: it counts none."""
    return value is None or not any(entry.strip().isdigit() for entry in value.split(","))


def _resolve(entry: str, in_pci_order: Sequence[str]) -> str | None:
    if entry.startswith(MIG_PREFIX):
        return entry
    if entry.isascii() and entry.isdigit():
        index = int(entry)
        return in_pci_order[index] if index < len(in_pci_order) else None
    if not entry.startswith(_GPU_PREFIX):
        return None
    matches = [uuid for uuid in in_pci_order if uuid.lower().startswith(entry.lower())]
    return matches[0] if len(matches) == 1 else None
