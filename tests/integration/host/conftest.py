"""What the tests of the host share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from llem_process import Hosts


@pytest.fixture
def start_llem() -> Iterator[Hosts]:
    """Starts `llem` in the background; what still runs at the test's end is killed."""
    hosts = Hosts()
    yield hosts
    hosts.close()
