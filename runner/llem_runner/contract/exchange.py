"""The exchange folder: what lies where, and the files that are not the result.

<folder>/in/   experiment.json  allocation.json  prompts.jsonl             read-only to the runner
<folder>/out/  events.jsonl  power.csv  samples.jsonl  result.json | error.json   the runner's
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from llem_runner.contract.calibration import Calibration
from llem_runner.contract.experiment import ExperimentConfig
from llem_runner.contract.failures import FailureKind
from llem_runner.contract.strict import Record

CONTRACT_VERSION = 1
"""Raised whenever a schema of this package changes; a golden-schema test holds us to it."""

IN, OUT = "in", "out"
EXPERIMENT_FILE, ALLOCATION_FILE, PROMPTS_FILE = "experiment.json", "allocation.json", "prompts.jsonl"
EVENTS_FILE, POWER_FILE, SAMPLES_FILE = "events.jsonl", "power.csv", "samples.jsonl"
RESULT_FILE, ERROR_FILE = "result.json", "error.json"
PROBE_FILE = "probe.json"
"""In `in/` a nonce, in `out/` `{"nonce", "probe"}`: what `probe FOLDER` found, and that it was this folder."""

LIFELINE_VARIABLE = "LLEM_LIFELINE"
"""Set to `stdin` by a launcher whose runner must end when its standard input does. Containers do not set it: their
standard input is empty from the start."""


class ExchangeFolder:
    """Paths inside one exchange folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs = root / IN
        self.out = root / OUT
        self.experiment = self.inputs / EXPERIMENT_FILE
        self.allocation = self.inputs / ALLOCATION_FILE
        self.prompts = self.inputs / PROMPTS_FILE
        self.events = self.out / EVENTS_FILE
        self.power = self.out / POWER_FILE
        self.samples = self.out / SAMPLES_FILE
        self.result = self.out / RESULT_FILE
        self.error = self.out / ERROR_FILE


class RunOrder(Record):
    """`in/experiment.json`: the run a container is asked for. Everything it writes must echo `nonce`.

    `calibration`: by the UUID of a board, whether the run gets it or not; the energies of a board are divided by its
    factor.
    """

    contract_version: int
    run_id: str
    attempt: int = Field(ge=1)
    nonce: str = Field(min_length=8)
    experiment: ExperimentConfig
    calibration: dict[str, Calibration] = Field(default_factory=dict)


class Allocation(Record):
    """`in/allocation.json`: what this run was given, written by whoever starts the runner, on its host.

    `gpu_uuids` are the boards to be measured (and computed on); an empty list is a CPU run. `model_path` and
    `adapter_path` are where the files lie *as the runner sees them*; None where the backend resolves the name itself.
    """

    host: str
    gpu_uuids: tuple[str, ...] = ()
    model_path: str | None = None
    adapter_path: str | None = None


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which no tokenizer takes. Raises ValueError."""
    text.encode()
    return text


class Prompt(Record):
    """A line of `in/prompts.jsonl` for prompts of text."""

    text: Annotated[str, AfterValidator(_encodable)]


class SyntheticRecipe(Record):
    """The single line of `in/prompts.jsonl` for synthetic prompts."""

    seed: int
    input_len: int = Field(ge=1)
    output_len: int = Field(ge=1)
    n: int = Field(ge=1)


class Sample(Record):
    """A line of `out/samples.jsonl`: one of the first requests of the first pass, so that a reader sees sense."""

    index: int
    input_tokens: int
    output_token_ids: tuple[int, ...]
    text: str


class ErrorReport(Record):
    """`out/error.json`: why a run did not complete, in words for people."""

    contract_version: int
    nonce: str
    kind: FailureKind
    message: str
    phase: Literal["start", "idle", "load", "resident", "warmup", "measure", "drain"]
    traceback: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
