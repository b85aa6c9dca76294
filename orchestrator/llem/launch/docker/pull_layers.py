"""How far a pull is, layer by layer, from what the engine says of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_WAITING, _DOWNLOADING, _UNPACKING, _DONE = "waiting", "downloading", "unpacking", "done"

# What an engine says of a layer → what people are told. It says other things of a layer's neighbours (a tag).
_STATES: dict[str, str] = {
    "pulling fs layer": _WAITING,
    "waiting": _WAITING,
    "downloading": _DOWNLOADING,
    "verifying checksum": _UNPACKING,
    "download complete": _UNPACKING,
    "extracting": _UNPACKING,
    "pull complete": _DONE,
    "already exists": _DONE,
}
_RETRYING = re.compile(r"retrying in \d+ second", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """A layer of an image: what happens to it, and how much of it has arrived (None: nobody knows how much it is)."""

    id: str
    state: str = _WAITING
    arrived_bytes: int = 0
    total_bytes: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether the engine has it."""
        return self.state == _DONE

    @property
    def is_moving(self) -> bool:
        """Whether it is being downloaded or unpacked just now."""
        return self.state in (_DOWNLOADING, _UNPACKING)


@dataclass(frozen=True)
class PullState:
    """A pull as it stands. `trouble` is what went wrong last and is being tried again; `ended` with or without success.

    A pull that was begun anew after it broke off begins with no layers again.
    """

    image: str
    layers: tuple[Layer, ...] = ()
    download_bytes: int | None = None
    """Of all layers together, as the registry says; None where it did not."""
    trouble: str = ""
    ended: bool = False
    succeeded: bool = False

    @property
    def done(self) -> int:
        """How many layers the engine has."""
        return sum(layer.is_done for layer in self.layers)

    @property
    def arrived_bytes(self) -> int:
        """What has arrived of all layers."""
        return sum(layer.arrived_bytes for layer in self.layers)

    def after(self, said: Mapping[str, Any]) -> PullState:
        """The state after one more line of the engine's."""
        name, status = str(said.get("id") or ""), str(said.get("status") or "")
        by_id = {layer.id: layer for layer in self.layers}
        if name in by_id and _RETRYING.match(status):
            return replace(self, trouble=f"layer {name} broke off, and goes on soon")
        state = _STATES.get(status.lower())
        if not name or state is None:
            return self
        by_id[name] = _moved(by_id.get(name, Layer(name)), state, said.get("progressDetail") or {})
        return replace(self, layers=tuple(by_id.values()))


def _moved(layer: Layer, state: str, detail: Mapping[str, Any]) -> Layer:
    if state == _DOWNLOADING:
        current, total = detail.get("current"), detail.get("total")
        return replace(
            layer,
            state=state,
            arrived_bytes=current if isinstance(current, int) else layer.arrived_bytes,
            total_bytes=total if isinstance(total, int) and total > 0 else layer.total_bytes,
        )
    # Whatever comes after the download comes after all of it.
    arrived = layer.arrived_bytes if state == _WAITING else max(layer.arrived_bytes, layer.total_bytes or 0)
    return replace(layer, state=state, arrived_bytes=arrived)
