"""`base`: files merged underneath a study, deepest first; only their experiment keys count."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llem.errors import UsageError
from llem.study.backends import read_backends
from llem.study.check import Checker, Written
from llem.study.keys import EXPERIMENT
from llem.study.merge import deep_merge
from llem.study.model_source import absolute, is_path
from llem.study.nodes import BROKEN, Node, compose
from llem.study.problems import Place, Problems
from llem.study.study_keys import STUDY_KEYS
from llem.study.yaml_text import read_capped

_BUILTIN = "builtin"
_DATASET_SUFFIXES = (".jsonl", ".csv", ".parquet", ".txt")


def shared_keys(root: Node, folder: Path, problems: Problems) -> Written:
    """The experiment keys of a study's file over those of its bases. Input paths are made relative to `folder`."""
    return _with_bases(root, folder, folder, problems, ())


def _with_bases(root: Node, folder: Path, study_folder: Path, problems: Problems, above: tuple[Path, ...]) -> Written:
    under = _base_of(root, folder, study_folder, problems, above)
    own = _own_keys(root, problems)
    if above:
        own.values = _rebased(own.values, folder, study_folder)
    return Written(deep_merge(under.values, own.values), {**under.places, **own.places})


def _own_keys(root: Node, problems: Problems) -> Written:
    own = Checker(problems).mapping(root, EXPERIMENT, skip=(*STUDY_KEYS, "backend"), also=STUDY_KEYS)
    if "backend" in root.value:
        backends = read_backends(root.value["backend"], problems)
        own.values["backend"] = tuple(backend for backend, _ in backends) or None
        own.places[("backend",)] = root.key_places["backend"]
        own.places |= {("backend", str(index)): place for index, (_, place) in enumerate(backends)}
    return own


def _base_of(root: Node, folder: Path, study_folder: Path, problems: Problems, above: tuple[Path, ...]) -> Written:
    node = root.value.get("base")
    if node is None or node.value in (None, BROKEN):
        return Written()
    if not isinstance(node.value, str) or not node.value.strip() or "\0" in node.value:
        if above:  # the study's own `base` is checked with its other keys
            problems.add(node.place, "base: expected the path of a file")
        return Written()
    try:
        path = absolute(node.value, folder)
    except UsageError as error:
        problems.add(node.place, f"base: {error}")
        return Written()
    real = Path(os.path.realpath(path))
    if real in above:
        problems.add(node.place, f"base: {node.value} is a base of itself")
        return Written()
    base = _read(path, folder, node, problems)
    if base is None:
        return Written()
    return _with_bases(base, path.parent, study_folder, problems, (*above, real))


def _read(path: Path, folder: Path, node: Node, problems: Problems) -> Node | None:
    # Named as the study's own file is: from the working folder, where the person at the terminal is.
    name = os.path.normpath(folder / Path(node.value).expanduser())
    try:
        if path.exists() and not path.is_file():
            problems.add(node.place, f"base: {name} is not a file")
            return None
        raw = read_capped(path)
    except OSError as error:
        problems.add(node.place, f"base: {name} cannot be read ({error.strerror})")
        return None
    root = compose(raw, name, problems)
    if root is None:
        return None
    if not root.is_mapping:
        problems.add(Place(name, 1, 1), "a base has to be a mapping of keys")
        return None
    return root


def _rebased(values: Mapping[str, Any], folder: Path, study_folder: Path) -> dict[str, Any]:
    """Input paths written in a base, as seen from the study's file."""
    rebased = dict(values)
    model, dataset, lora = values.get("model"), values.get("dataset"), values.get("lora")
    if isinstance(model, str) and is_path(model, folder):
        rebased["model"] = _seen_from(study_folder, folder, model)
    if isinstance(dataset, str) and dataset != _BUILTIN and (is_path(dataset, folder) or _is_data_file(dataset)):
        rebased["dataset"] = _seen_from(study_folder, folder, dataset)
    if isinstance(lora, dict) and isinstance(lora.get("adapter_path"), str):
        rebased["lora"] = {**lora, "adapter_path": _seen_from(study_folder, folder, lora["adapter_path"])}
    return rebased


def _is_data_file(dataset: str) -> bool:
    return dataset.lower().endswith(_DATASET_SUFFIXES)


def _seen_from(study_folder: Path, folder: Path, path: str) -> str:
    if path.startswith(("/", "~")) or folder.absolute() == study_folder.absolute():
        return path
    relative = os.path.relpath(folder.absolute() / path, study_folder.absolute())
    return relative if relative.startswith("..") else f"./{relative}"
