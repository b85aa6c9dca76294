"""What a model's name means: a builtin model, a local folder, or an id on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from llem.errors import UsageError
from llem.printable import on_one_line

BUILTIN_PREFIX: Final = "builtin:"
BUILTIN_MODELS: Final = ("builtin:tiny-llama", "builtin:smollm2-135m")
_HUB_ID = re.compile(r"(?=.{1,96}$)(?!.*(--|\.\.))[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?(?<![-.])", re.ASCII)
_PATH_BEGINS = ("/", "./", "../", "~")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from; `name` is without `builtin:`, `path` is absolute and only a folder's."""

    kind: Literal["builtin", "folder", "hub"]
    name: str
    path: Path | None = None


def is_path(name: str, folder: Path) -> bool:
    """Whether the name of a model or a dataset is a path: it begins like one, or lies in `folder`."""
    if name.startswith(BUILTIN_PREFIX):
        return False
    return name in (".", "..") or name.startswith(_PATH_BEGINS) or _exists(folder / name)


def resolve_model(model: str, base_folder: Path) -> ModelSource:
    """What `model` in an experiment means; relative paths are relative to `base_folder`.

    Raises UsageError where it is a path and no folder is there, or what can be neither.
    """
    if model.startswith(BUILTIN_PREFIX):
        return ModelSource("builtin", model.removeprefix(BUILTIN_PREFIX))
    if not is_path(model, base_folder):
        check_hub_id("model", model)
        return ModelSource("hub", model)
    path = absolute(model, base_folder)
    if not path.is_dir():
        what = "is not a folder" if _exists(path) else "does not exist"
        where = on_one_line(f"model {model}: the folder {path} {what}")
        raise UsageError(f"{where}. Correct `model`, or put the model there.")
    return ModelSource("folder", model, path)


def check_hub_id(key: str, name: str) -> None:
    """Raise UsageError where `name`, the value of `key`, cannot be an id on the Hub."""
    if not _HUB_ID.fullmatch(name):
        raise UsageError(
            on_one_line(f"{key} {name}: there is no such folder, and it is no id of the Hub (they look like org/name).")
            + f" Correct `{key}`."
        )


def absolute(path: str, base_folder: Path) -> Path:
    """An input path of a study as an absolute one (`~` is the home folder)."""
    try:
        return (base_folder / Path(path).expanduser()).absolute()
    except RuntimeError as error:
        raise UsageError(on_one_line(f"{path}: there is no such user ({error}).")) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system, a folder that may not be read
        return False
