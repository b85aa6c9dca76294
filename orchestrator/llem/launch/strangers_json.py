"""JSON values that came out of a container: the types they are checked with, and errors that repeat nothing of them."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import StringConstraints, ValidationError

from llem_runner.contract.strict import Record

Version = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9.+_!-]+$")]

Model = TypeVar("Model", bound=Record)


def printable_only(text: str) -> str:
    """`text`, if nothing in it moves a cursor. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def read_record(model: type[Model], record: Any) -> Model:
    """`record` as a `model`. Raises ValueError with the reason: where it is, and what is wrong with it."""
    try:
        return model.model_validate(record)
    except ValidationError as error:
        # Of a stranger's text nothing is repeated.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{where}: {first['msg']}") from error
