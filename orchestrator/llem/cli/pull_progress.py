"""How far the pulls of images are: a bar for each layer on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llem.printable import on_one_line, printable

if TYPE_CHECKING:
    from llem.launch.docker.pull_layers import Layer, PullState

_EVERY_S = 15.0
_FORM = "  {desc} |{bar}| {n_fmt}B of {total_fmt}B"
_FORM_OF_NO_SIZE = "  {desc}"


class PullLines:
    """A line at a pull's begin and end, for each trouble that it meets, and every quarter of a minute."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._said_s: dict[str, float] = {}
        self._troubles: dict[str, str] = {}

    def show(self, state: PullState, *, brief: bool = False) -> None:
        """Say what is new; `brief`: only begin, end and troubles."""
        image = on_one_line(state.image)
        if state.trouble != self._troubles.get(state.image, ""):
            self._troubles[state.image] = state.trouble
            if state.trouble:
                self._say(f"Pulling {image}: {on_one_line(printable(state.trouble, 400))}")
        if state.image not in self._said_s and not state.ended:
            self._said_s[state.image] = self._now()
            self._say(f"Pulling {image} …")
        elif state.ended:
            self._said_s.pop(state.image, None)
            if state.succeeded:
                self._say(f"Pulled {image}.")
        elif not brief and self._now() - self._said_s[state.image] >= _EVERY_S:
            self._said_s[state.image] = self._now()
            self._say(f"Pulling {image}: {_how_far(state)}")


class PullBars:
    """A bar for each layer that is being downloaded or unpacked."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str, str], Any] = {}

    def show(self, state: PullState) -> None:
        """Draw what moves, and take away what does not any more."""
        moving = {} if state.ended else {layer.id: layer for layer in state.layers if layer.is_moving}
        for key in [key for key in self._bars if key[0] == state.image and key[1] not in moving]:
            self._bars.pop(key).close()
        for layer in moving.values():
            bar = self._bars.get((state.image, layer.id)) or self._begun(state.image, layer)
            bar.set_description_str(f"{layer.id} {layer.state:<11}", refresh=False)
            bar.total = layer.total_bytes
            bar.bar_format = _FORM if layer.total_bytes else _FORM_OF_NO_SIZE
            bar.n = layer.arrived_bytes
            bar.refresh()

    def _begun(self, image: str, layer: Layer) -> Any:
        from tqdm import tqdm

        bar = tqdm(total=layer.total_bytes, file=sys.stderr, leave=False, unit_scale=True, bar_format=_FORM_OF_NO_SIZE)
        self._bars[image, layer.id] = bar
        return bar


def _how_far(state: PullState) -> str:
    of = f" of {_megabytes(state.download_bytes)}" if state.download_bytes else ""
    return f"{_megabytes(state.arrived_bytes)}{of}, {state.done} of {len(state.layers)} layers"


def _megabytes(size_bytes: int | None) -> str:
    return f"{(size_bytes or 0) / 1e6:,.1f} MB"
