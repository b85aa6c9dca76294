"""The process that fetches: every model is looked up, and only where all can be had is anything large fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from llem.errors import UsageError
from llem.launch.hub.download import check_room, download
from llem.launch.hub.failures import Unavailable
from llem.launch.hub.find import Found, find
from llem.launch.hub.order import read_order, say

Item = TypeVar("Item")
Done = TypeVar("Done")

# The client's own, before it is imported. No common store of blobs: a container sees a model's own folder alone.
_ENVIRONMENT = {"HF_HUB_DISABLE_SHARED_BLOBS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_VERBOSITY": "error"}


def work(order: str) -> int:
    """Do what `order_text` wrote, and `say` what came of it. 0 where all models are there, else 1."""
    os.environ.update(_ENVIRONMENT)
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).absolute()
    models = read_order(order)
    found = _each(models, lambda model: find(model, cache))
    if len(found) < len(models) or not _each([found], lambda found: check_room(found, cache)):
        return 1
    for each in found:
        say({"notice": _known(each)})
    fetched = _each(found, lambda each: download(each, cache, lambda line: say({"notice": line})))
    if len(fetched) < len(found):
        return 1
    say({"fetched": [asdict(each) for each in fetched]})
    return 0


def _each(items: Iterable[Item], do: Callable[[Item], Done]) -> list[Done]:
    """What `do` made of the items; those that failed are told, and left out."""
    done = []
    for item in items:
        try:
            done.append(do(item))
        except Unavailable as error:
            say({"problem": str(error)})
        except UsageError as error:
            say({"problem": str(error), "usage": True})
    return done


def _known(found: Found) -> str:
    where = f", from the cache: {found.note}" if found.note else ""
    return f"{found.model.described}: commit {found.commit[:12]}{where}."
