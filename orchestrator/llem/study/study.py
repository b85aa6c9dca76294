"""A study: what one file says, checked. Text → Study; the plan is made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from llem.errors import UsageError
from llem.printable import on_one_line
from llem.study.blocks import build_expansion
from llem.study.check import Checker
from llem.study.expansion import Expansion
from llem.study.inheritance import shared_keys
from llem.study.nodes import Node, compose, node_of
from llem.study.problems import Problems, TooManyProblems
from llem.study.reading import checked_model, read_places
from llem.study.requirements import check_requirements
from llem.study.scalars import written_as_yaml
from llem.study.study_keys import (
    STUDY,
    CycleOrder,
    DockerSettings,
    ExecutionSettings,
    ImageChoice,
    OutputSettings,
    RunnerChoice,
)
from llem.study.yaml_text import read_capped

_SLUG_CHARACTERS: Final = 64
COMMAND_LINE: Final = "command line"


@dataclass(frozen=True, slots=True)
class StudyOverrides:
    """What the command line sets in place of the file; None leaves the file's."""

    cycles: int | None = None
    order: CycleOrder | None = None
    no_gaps: bool = False
    output_folder: str | None = None


@dataclass(frozen=True)
class Study:
    """One study file, checked. `runners` and `images` hold every backend of the study, defaults included."""

    name: str
    slug: str
    source: Path | None
    text: str
    """The file as read."""
    base_folder: Path
    """The folder that input paths in `experiments` are relative to."""
    execution: ExecutionSettings
    runners: Mapping[str, RunnerChoice]
    images: Mapping[str, ImageChoice]
    docker: DockerSettings
    output: OutputSettings
    backends: tuple[str, ...]
    expansion: Expansion
    version: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name of the study's file in messages."""
        return str(self.source) if self.source else COMMAND_LINE


def load_study(path: Path | str, overrides: StudyOverrides | None = None) -> Study:
    """Read and check a study file. Raises StudyFileError with all its problems, UsageError where it cannot be read."""
    path = Path(path)
    try:
        raw = read_capped(path)
    except OSError as error:
        raise UsageError(on_one_line(f"{path}: the study file cannot be read ({error.strerror}).")) from error
    return parse_study(raw, source=path, overrides=overrides)


def parse_study(
    text: str | bytes,
    *,
    source: Path | str,
    base_folder: Path | None = None,
    overrides: StudyOverrides | None = None,
) -> Study:
    """Check the text of a study file; `base_folder` defaults to the source's folder. Raises StudyFileError."""
    source = Path(source)
    problems = Problems()
    try:
        root = compose(text, str(source), problems)
        if root is not None:
            study = _study_of_root(root, source, base_folder or source.parent, problems)
            if not problems and study is not None:
                decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
                return with_overrides(replace(study, text=decoded), overrides)
    except TooManyProblems:
        pass
    raise problems.error()


def study_of(
    experiment: Mapping[str, Any],
    name: str,
    execution: Mapping[str, Any] | None = None,
    *,
    overrides: StudyOverrides | None = None,
    base_folder: Path = Path(),
) -> Study:
    """A study of one experiment from nested values (flags, the API). Raises StudyFileError as for a file."""
    content = {"name": name, **experiment, **({"execution": execution} if execution else {})}
    root = node_of(content, COMMAND_LINE)
    problems = Problems()
    try:
        study = _study_of_root(root, None, base_folder, problems)
        if not problems and study is not None:
            return with_overrides(replace(study, text=written_as_yaml(root.plain())), overrides)
    except TooManyProblems:
        pass
    raise problems.error()


def with_overrides(study: Study, overrides: StudyOverrides | None) -> Study:
    """The study with what the command line sets. Raises StudyFileError where a value is impossible."""
    if overrides is None:
        return study
    changed: dict[str, Any] = {"n_cycles": overrides.cycles, "cycle_order": overrides.order}
    written = {key: value for key, value in changed.items() if value is not None}
    if overrides.no_gaps:
        written |= {"experiment_gap_seconds": 0, "cycle_gap_seconds": 0}
    output = {} if overrides.output_folder is None else {"folder": overrides.output_folder}
    root = node_of({"execution": written, "output": output}, COMMAND_LINE)
    problems = Problems()
    checked = Checker(problems, complete=True).mapping(root, STUDY).values
    if problems:
        raise problems.error()
    return replace(
        study,
        execution=checked_model(
            ExecutionSettings, {**study.execution.model_dump(exclude_unset=True), **checked["execution"]}
        ),
        output=checked_model(OutputSettings, {**study.output.model_dump(exclude_unset=True), **checked["output"]}),
    )


def slug_of(name: str) -> str:
    """A study's name as part of a folder's: lower case, `a-z 0-9 . _ -` only, at most 64 characters."""
    slug = re.sub(r"[^a-z0-9._-]", "-", name.lower())[:_SLUG_CHARACTERS]
    return slug if re.search(r"[a-z0-9]", slug) else "study"


def _study_of_root(root: Node, source: Path | None, folder: Path, problems: Problems) -> Study | None:
    if not root.is_mapping:
        empty = "the file is empty: " if root.value is None else ""
        problems.add(root.place, f"{empty}a study file has to be a mapping of keys, like `model: …`")
        return None
    file = root.place.file
    own = _study_keys(root, problems)
    shared = shared_keys(root, folder, problems)
    expansion = build_expansion(root, shared, problems)
    check_requirements(expansion, problems)
    backends = _backends_of(expansion)
    name = own.get("name") or (source.stem if source else "study")
    runners, images = read_places(own, root, problems)
    if problems:
        return None
    return Study(
        name=name,
        slug=slug_of(name),
        source=source,
        text="",
        base_folder=folder,
        execution=checked_model(ExecutionSettings, own.get("execution")),
        runners={backend: runners.get(backend, RunnerChoice()) for backend in backends},
        images={backend: images.get(backend, ImageChoice()) for backend in backends},
        docker=checked_model(DockerSettings, own.get("docker")),
        output=checked_model(OutputSettings, own.get("output")),
        backends=backends,
        expansion=expansion,
        version=own.get("version"),
        notes=_notes(backends, {**runners, **images}, file),
    )


def _study_keys(root: Node, problems: Problems) -> dict[str, Any]:
    skip = {"sweep", "experiments", *root.value} - STUDY.children.keys()
    return Checker(problems, complete=True).mapping(root, STUDY, skip=skip).values


def _backends_of(expansion: Expansion) -> tuple[str, ...]:
    return tuple(dict.fromkeys(backend for block in expansion.blocks for backend in block.backends))


def _notes(backends: tuple[str, ...], named: Mapping[str, Any], file: str) -> tuple[str, ...]:
    idle = [backend for backend in named if backend not in backends]
    return tuple(f"{file}: runners or images name {backend}, which this study does not run" for backend in idle)
