"""The Python side of the simulated NVML library: its settings, its exact truth, and how tests get at it.

Tests write a settings file from `Settings` and `Board`, start a program with `simulated_environment`, and compare what
it found with `settings.truth(uuid)`. See ../README.md for the meaning of every setting.
"""

from .board import Board, Fault, Process, a100, h100, p100, rtx3090
from .library import LibraryNotBuilt, build_library, simulated_environment
from .sensor import Sensor
from .settings import DEFAULT_EPOCH_UNIX_S, Settings
from .shapes import Burst, Constant, Saw, Shape, Square, Trace, Triangle
from .truth import Truth

__all__ = [
    "DEFAULT_EPOCH_UNIX_S",
    "Board",
    "Burst",
    "Constant",
    "Fault",
    "LibraryNotBuilt",
    "Process",
    "Saw",
    "Sensor",
    "Settings",
    "Shape",
    "Square",
    "Trace",
    "Triangle",
    "Truth",
    "a100",
    "build_library",
    "h100",
    "p100",
    "rtx3090",
    "simulated_environment",
]
