"""A load of matrix products on a CUDA device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .activity import Activity, Pulse

SIZE = 4096
_BURST_S = 0.002


class MatmulLoad:
    """Keeps the device busy in bursts of some 2 ms, so that an end comes when it is due. `device` as torch names it."""

    def __init__(self, device: str, size: int = SIZE) -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)
        dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        self._factor: Any = torch.randn(size, size, device=self._device, dtype=dtype)
        self._result: Any = torch.empty_like(self._factor)
        self._products = 1
        self._calibrate()

    def run(self, pulses: Sequence[Pulse]) -> Activity:
        """Run the pulses; an absolute schedule, so that what a pulse is late by does not add up."""
        spans = []
        due_s = time.monotonic()
        for on_s, off_s in pulses:
            time.sleep(max(0.0, due_s - time.monotonic()))
            start_s = time.monotonic()
            while time.monotonic() < due_s + on_s:
                self._burst()
            spans.append((start_s, time.monotonic()))
            due_s += on_s + off_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        return Activity(tuple(spans))

    def _burst(self) -> None:
        for _ in range(self._products):
            self._torch.matmul(self._factor, self._factor, out=self._result)
        if self._device.type == "cuda":
            self._torch.cuda.synchronize(self._device)

    def _calibrate(self) -> None:
        """As many products as take 2 ms; the first ones load libraries and wake the clocks."""
        until_s = time.monotonic() + 1.0
        while time.monotonic() < until_s:
            self._burst()
        count, began_s = 20, time.monotonic()
        for _ in range(count):
            self._burst()
        self._products = max(1, round(_BURST_S * count / (time.monotonic() - began_s)))
