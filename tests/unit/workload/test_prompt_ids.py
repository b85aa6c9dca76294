"""What tells whether two runs were given the same ids."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from llem_runner.workload.prompts import ids_sha256

prompts = st.lists(st.lists(st.integers(min_value=0, max_value=300), min_size=1, max_size=4), min_size=1, max_size=4)


def test_claim_9_3_the_hash_can_be_made_by_anybody() -> None:
    assert ids_sha256([[1, 23], [4]]) == hashlib.sha256(b"1,23\n4\n").hexdigest()


@given(one=prompts, other=prompts)
def test_claim_9_3_the_hash_is_equal_for_equal_ids_in_equal_order_and_for_no_other(
    one: list[list[int]], other: list[list[int]]
) -> None:
    assert (ids_sha256(one) == ids_sha256(other)) == (one == other)
