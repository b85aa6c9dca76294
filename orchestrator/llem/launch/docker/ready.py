"""Before the first run, what fails makes all runs impossible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from llem.errors import NotReadyError
from llem.launch.docker.pull import PullsFailed
from llem.launch.protocol import LaunchFailed

Done = TypeVar("Done")


def ready(call: Callable[[], Done]) -> Done:
    """`call`, before the first run. Raises NotReadyError with the kinds of what failed."""
    try:
        return call()
    except LaunchFailed as failure:
        raise NotReadyError(f"{failure.kind}: {failure.what}", failure.remedy) from failure
    except PullsFailed as failed:
        raise NotReadyError(failed.listed) from failed
