"""The settings file of the simulated library: what it says, and how it is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from .board import Board, Fault
from .sensor import Sensor
from .truth import Truth

#: 2025-01-01: what shapes and steps count from, and where every counter was 0.
DEFAULT_EPOCH_UNIX_S = 1_735_689_600


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A system and its boards, in any order: NVML numbers them by PCI bus id."""

    boards: tuple[Board, ...]
    driver_version: str = "580.95.05"
    nvml_version: str = "13.580.95.05"
    cuda_driver_version: int = 13000
    epoch_unix_s: int = DEFAULT_EPOCH_UNIX_S
    faults: tuple[Fault, ...] = ()

    def truth(self, uuid: str) -> Truth:
        """What is true of one board, whatever its readings say. Raises KeyError when there is none of that UUID."""
        for board in self.boards:
            if board.uuid == uuid:
                return Truth(board, self.epoch_unix_s)
        raise KeyError(uuid)

    def text(self) -> str:
        """The file's text; every key is there, so that no default of the library matters."""
        lines = ["[system]", *_lines(self)]
        for number, board in enumerate(self.boards):
            lines += ["", f"[gpu{number}]", *_lines(board)]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Replace the file in one step, as running processes need it."""
        replace_text(path, self.text())


def replace_text(path: Path, text: str) -> None:
    """Write beside the file and rename: a reader sees the old text or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    Path(name).replace(path)


def _lines(section: Settings | Board) -> Iterator[str]:
    for field in fields(section):
        value = getattr(section, field.name)
        if field.name == "power":
            yield from (f"power = {shape.words()}" for shape in value)
        elif field.name == "faults":
            yield from (f"fault = {fault.words()}" for fault in value)
        elif field.name == "processes":
            yield from (f"process = {process.pid} {process.memory_bytes}" for process in value)
        elif isinstance(value, Sensor):
            yield from _sensor_lines(field.name, value)
        elif field.name != "boards":
            yield f"{field.name} = {_word(value)}"


def _sensor_lines(name: str, sensor: Sensor) -> Iterator[str]:
    for field in fields(sensor):
        if not (name == "counter" and field.name == "window_s"):
            yield f"{name}_{field.name} = {_word(getattr(sensor, field.name))}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return repr(value) if isinstance(value, float) else str(value)
