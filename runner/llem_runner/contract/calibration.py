"""What is known of a board's gain."""

from __future__ import annotations

from pydantic import Field

from llem_runner.contract.strict import Record


class Calibration(Record):
    """A board's gain against a better meter: reading = factor × truth, with its uncertainty and where it is from."""

    factor: float = Field(gt=0, allow_inf_nan=False)
    uncertainty_percent: float = Field(ge=0, allow_inf_nan=False)
    source: str
