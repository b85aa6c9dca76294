"""What the host asks of the process that fetches, and what that one says: JSON, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class HubModel:
    """A model, or a LoRA adapter, of the Hub, and what of it is needed."""

    repo: str
    revision: str | None = None
    """A branch, a tag or a commit; None for the default branch."""
    adapter: bool = False
    weights: bool = True
    """Dummy weights need none."""
    code: bool = False
    """Whether its Python code is trusted, and fetched."""

    @property
    def marker(self) -> str:
        """The file without which it is none."""
        return "adapter_config.json" if self.adapter else "config.json"

    @property
    def described(self) -> str:
        """For people, at the beginning of a sentence."""
        return f"{'Adapter' if self.adapter else 'Model'} {self.repo}"


@dataclass(frozen=True)
class Fetched:
    """A model in the cache: the folder of its snapshot, and the commit that this is, 40 hex digits."""

    folder: str
    commit: str


def order_text(models: Iterable[HubModel]) -> str:
    """For the command line of the process that fetches."""
    return json.dumps([asdict(model) for model in models])


def read_order(text: str) -> list[HubModel]:
    """The reverse of `order_text`."""
    return [HubModel(**model) for model in json.loads(text)]


def say(line: Mapping[str, Any]) -> None:
    """Tell the host: a `notice`, a `problem` (with `usage`), or `fetched`, in the order of the models."""
    print(json.dumps(line), flush=True)


def heard(line: str) -> dict[str, Any]:
    """What a line says; nothing where it is none of ours (libraries print as well)."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
