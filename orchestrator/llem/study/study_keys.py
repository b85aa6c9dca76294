"""The study's own keys (how, where and how often experiments run) as frozen models with their defaults."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from llem.study.keys import BACKENDS, LATER_BACKENDS, OFF, Each, Key, Later, Section, section_of
from llem_runner.contract.strict import Flag, Frozen, Number, Text, Whole

CycleOrder = Literal["sequential", "interleaved", "shuffled", "reverse", "latin_square"]
RunnerKind = Literal["local", "docker", "auto"]
PullPolicy = Literal["missing", "always", "never"]

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
AtLeastOne = Annotated[Whole, Field(ge=1)]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_FACTOR = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def size_in_bytes(text: str) -> int:
    """Bytes of a size in Docker's notation (`8g`, `512m`, `1.5GiB`; k, m, g are powers of 1024). Raises ValueError."""
    match = _SIZE.match(text.strip())
    if not match or len(text) > 32:
        raise ValueError("is not a size like 8g or 512m")
    size = int(float(match[1]) * _FACTOR[match[2].lower()])
    if size <= 0:
        raise ValueError("is a size of nothing")
    return size


def _bytes(value: Any) -> Any:
    # Docker takes a bare number of bytes too.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _size(value: str) -> str:
    size_in_bytes(value)
    return value


def _off(value: Any) -> Any:
    # `off` is false to YAML.
    return "off" if value is False else value


def _listed(value: Any) -> Any:
    # A strict tuple takes no list, and YAML has nothing else.
    return tuple(value) if isinstance(value, list) else value


def _runner(value: str) -> str:
    kind, colon, image = value.partition(":")
    if value not in ("local", "docker", "auto") and not (kind == "docker" and colon and image.strip()):
        raise ValueError("is none of local, docker, auto, docker:IMAGE")
    return value


# What the validators of ours accept, in JSON Schema's words, which know no flags: for editors.
_SIZE_SCHEMA: Final = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)? ?[kKmMgGtTpP]?([iI]?[bB])?\s*$"},
    ]
}
_RUNNER_SCHEMA: Final = {"type": "string", "pattern": r"^(local|docker|auto|docker:.*\S.*)$"}

Size = Annotated[Text, BeforeValidator(_bytes), AfterValidator(_size), WithJsonSchema(_SIZE_SCHEMA)]
RunnerText = Annotated[Text, AfterValidator(_runner), WithJsonSchema(_RUNNER_SCHEMA)]

GpuList = Annotated[tuple[Annotated[Whole, Field(ge=0)] | Text, ...], BeforeValidator(_listed), Field(min_length=1)]


class GateSettings(Frozen):
    """Thermal gate between runs: wait until the GPUs are within `band_c` (°C) of their idle temperature."""

    band_c: Positive
    max_wait_seconds: Positive


class ExecutionSettings(Frozen):
    """How often, in what order and with what limits the experiments run. None of it is part of a hash."""

    n_cycles: AtLeastOne = 1
    cycle_order: CycleOrder = "sequential"
    shuffle_seed: Annotated[Whole, Field(ge=0)] | None = None
    experiment_gap_seconds: NotNegative = 0
    cycle_gap_seconds: NotNegative = 0
    timeout_seconds: Positive | None = None
    """Per run, from the container's start."""
    load_timeout_seconds: Positive = 1800
    stall_seconds: Positive = 300
    """Longest silence without a sign of life."""
    max_consecutive_failures: AtLeastOne = 10
    wall_clock_limit_hours: Positive | None = None
    gpus: GpuList | None = None
    """Indices or UUIDs of the GPUs that the study may use."""
    parallel: Annotated[Literal["off", "gpus"], BeforeValidator(_off)] = "off"
    gate: Annotated[GateSettings | None, OFF] = None
    on_complete: Text | None = None
    """A command."""
    skip_preflight: Flag = False


class RunnerChoice(Frozen):
    """Where a backend runs; `image` only where written as `docker:IMAGE`."""

    kind: RunnerKind = "auto"
    image: Text | None = None

    @classmethod
    def of_text(cls, text: str) -> RunnerChoice:
        """From `local`, `docker`, `auto` or `docker:IMAGE`. Raises ValueError."""
        _runner(text)
        kind, _, image = text.partition(":")
        return cls.model_validate({"kind": kind, "image": image or None})


class ImageChoice(Frozen):
    """What a backend runs: an image's name (None: the default image) and when it is pulled."""

    image: Text | None = None
    pull: PullPolicy = "missing"


class DockerSettings(Frozen):
    """How containers are started. Sizes in Docker's notation; `memory_limit` None is the host's memory less 4 GiB."""

    gpu_driver: Literal["auto", "nvidia", "cdi"] = "auto"
    memory_limit: Size | None = None
    shm_size: Size = "8g"
    network: Text = "none"


class OutputSettings(Frozen):
    """Where study folders are made, and whether each run's power timeline is kept."""

    folder: Text = "results"
    save_timeline: Flag = True


class Calibration(Frozen):
    """A board's gain against an external meter: reading = factor × truth, with its uncertainty and where it is from."""

    factor: Positive
    uncertainty_percent: NotNegative
    source: Text


class _Runners(Frozen):
    pytorch: RunnerText | None = None
    vllm: RunnerText | None = None


class _Images(Frozen):
    pytorch: Text | ImageChoice | None = None
    vllm: Text | ImageChoice | None = None


class _Facts(Frozen):
    name: Text | None = None
    version: Text | None = None
    base: Text | None = None


_LATER: Final[dict[str, Key]] = {name: Later() for name in LATER_BACKENDS}
_PLACES: Final[dict[str, Key]] = {
    "runners": section_of(_Runners, **_LATER),
    "images": section_of(_Images, **_LATER),
    "output": section_of(OutputSettings),
}

STUDY: Final = Section(
    {
        **section_of(_Facts).children,
        "execution": section_of(ExecutionSettings, cluster=Later(), placement=Later(), exclusive=Later()),
        "docker": section_of(DockerSettings),
        **_PLACES,
    }
)
"""The study's own keys, but for `sweep` and `experiments`, which have a grammar of their own."""

STUDY_KEYS: Final = (*STUDY.children, "sweep", "experiments")

SETTINGS: Final = Section({**_PLACES, "calibration": Each(section_of(Calibration))})
"""The keys of the user's settings file."""

if set(BACKENDS) != set(_Runners.model_fields) or set(BACKENDS) != set(_Images.model_fields):
    raise TypeError("runners and images name exactly the backends of the contract")
