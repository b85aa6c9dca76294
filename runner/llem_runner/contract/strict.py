"""Strict scalar types: text is no number, true is no 1, and 100.0 counts as 100."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StrictBool, StrictStr


class Frozen(BaseModel):
    """A value: immutable, closed to unknown names, without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Record(BaseModel):
    """A value read back from a file: like `Frozen`, but names it does not know are ignored (a later program's)."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _number(value: Any) -> Any:
    # pydantic's strict float takes an int; a bool is an int to Python but not to us.
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Flag = StrictBool
Text = Annotated[StrictStr, AfterValidator(_not_blank)]
