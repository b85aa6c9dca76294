"""Settings written into the text of a settings file. Everything else in it stays as it was: comments, order, style."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from llem.errors import UsageError
from llem.printable import on_one_line
from llem.study.keys import Each, Key, Leaf, Section
from llem.study.settings import parse_settings
from llem.study.study_keys import SETTINGS


def with_settings(raw: str | bytes, file: str, changes: Mapping[str, str]) -> str:
    """The text of a settings file with the key at each dotted path set to its value, which is read as YAML; null takes
    the key out.

    Raises UsageError for a key or value that cannot be, StudyFileError where the file is wrong before, or would be
    after.
    """
    parse_settings(raw, file)
    text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken that was whole
    written_before = yaml.load(text)
    root = CommentedMap() if written_before is None else written_before
    for dotted, written in changes.items():
        _set(root, _path(dotted), _value(dotted, written))
    stream = io.StringIO()
    yaml.dump(root, stream)
    # Of a file of nothing but comments the loader keeps none: they stay in front.
    edited = text + stream.getvalue() if written_before is None else stream.getvalue()
    parse_settings(edited, f"{file}, as it would become")
    return edited


def _path(dotted: str) -> list[str]:
    """The names of a key. Raises UsageError for one that the settings do not have, or that holds others."""
    names = dotted.split(".")
    key: Key | None = SETTINGS
    for name in names:
        key = key.children.get(name) if isinstance(key, Section) else key.value if isinstance(key, Each) else None
    if isinstance(key, Leaf) or (isinstance(key, Section) and key.scalar is not None):
        return names
    what = "holds other settings: name one of them" if isinstance(key, Section | Each) else "is no setting"
    raise UsageError(f"{on_one_line(dotted)} {what}. `llem config show` lists them; `calibration.<uuid>` has three.")


def _value(dotted: str, written: str) -> Any:
    try:
        return YAML(typ="safe").load(written)
    except YAMLError as error:
        raise UsageError(on_one_line(f"{dotted}: {written} is no YAML value; quote it.")) from error


def _set(mapping: CommentedMap, path: Sequence[str], value: Any) -> None:
    name, *rest = path
    if rest:
        if not isinstance(mapping.get(name), CommentedMap):
            mapping[name] = CommentedMap()
        _set(mapping[name], rest, value)
        # A group that is left without settings goes, and its comment with it.
        value = mapping[name] or None
    if value is None:
        mapping.pop(name, None)
    else:
        mapping[name] = value
