"""ExperimentResult: what a run measured. The runner writes it; the host adds what only it knows.

Names are stable: more may be added beside them. Everything but `passes` is over the whole measured window. What was
not measured is None, with a warning that says why; it is never 0. Units are in the names: `_j` joule, `_w` watt,
`_s` second, `_c` degree Celsius, `_bytes`.
"""

from __future__ import annotations

from typing import Any, Literal, Optional

from pydantic import Field

from llem_runner.contract.events import PhaseName
from llem_runner.contract.experiment import ExperimentConfig
from llem_runner.contract.strict import Record

RESULT_SCHEMA_VERSION = 1

Level = Literal["A", "B", "C", "D"]
EnergySource = Literal["nvml", "zeus", "codecarbon", "none"]
EnergyMethod = Literal["counter", "power", "average_power"]


class Device(Record):
    """Where the backend was asked to compute, and where it did (`cpu`, `cuda:0`, …)."""

    requested: str
    used: str


class Window(Record):
    """The measured window, in realtime (one offset a run turns the monotonic clock into it)."""

    start_unix_s: float
    end_unix_s: float
    duration_s: float = Field(gt=0)


class DeviceJoules(Record):
    """Energy of one GPU over a span: `lower_j` ≤ the sensor's truth ≤ `upper_j`."""

    uuid: str
    energy_j: Optional[float] = None
    lower_j: Optional[float] = None
    upper_j: Optional[float] = None


class Pass(Record):
    """One whole pass over the prompts, with its GPU energy: of all boards, with bounds, and of each."""

    start_unix_s: float
    end_unix_s: float
    energy_j: Optional[float] = None
    lower_j: Optional[float] = None
    upper_j: Optional[float] = None
    devices: tuple[DeviceJoules, ...] = ()
    output_tokens: int


class PassesSpread(Record):
    """How much the `n` passes of the window differ: standard deviation over mean of each quantity."""

    energy_per_output_token_cv: Optional[float] = None
    output_tokens_per_s_cv: Optional[float] = None
    n: int = Field(ge=2)


class Tokens(Record):
    """Tokens over the window. Output counts up to and including the stop token; padding is no output."""

    input: int = Field(ge=0)
    output: int = Field(ge=0)
    total: int = Field(ge=0)
    cached: Optional[int] = None
    """Input tokens taken from a cache across passes; None where the engine cannot tell."""
    computed: Optional[int] = None
    """Token positions that the engine computed for all this, padding included; None where it cannot tell. An answer's
    last token is not computed; without a cache of keys and values the earlier ones are, again at every step."""
    padding_share: Optional[float] = Field(default=None, ge=0, le=1)
    """Share of `computed` that is no request's: rows filled up to their batch's width, and rows that had ended."""


class Requests(Record):
    """Requests over the window."""

    total: int = Field(ge=0)
    completed: int = Field(ge=0)


class DeviceEnergy(Record):
    """Energy and power of one GPU over the window, and its power at rest.

    Of a calibrated board `gain_factor` and `gain_source` are its calibration's, by which all its numbers, here and
    everywhere, were divided, and `systematic_percent` is that factor's uncertainty.
    """

    uuid: str
    index: int
    name: str
    total_j: Optional[float] = None
    lower_j: Optional[float] = None
    upper_j: Optional[float] = None
    mean_power_w: Optional[float] = None
    peak_power_w: Optional[float] = None
    idle_power_w: Optional[float] = None
    resident_power_w: Optional[float] = None
    systematic_percent: Optional[float] = None
    gain_factor: Optional[float] = None
    gain_source: Optional[str] = None
    counter_steps: Optional[int] = None
    """How often the energy counter stepped in the window; None without a counter."""
    power_limit_w: Optional[float] = None


class Energy(Record):
    """GPU energy over the window: `lower_j` ≤ the sensor's truth ≤ `upper_j`.

    Of methods other than `counter` the bounds miss a load that repeats in step with the power readings.
    `systematic_percent` is what the bounds cannot know: the gain error of the boards, weighted by their energy.
    """

    source: EnergySource
    method: Optional[EnergyMethod] = None
    total_j: Optional[float] = None
    lower_j: Optional[float] = None
    upper_j: Optional[float] = None
    systematic_percent: Optional[float] = None
    lag_ms: Optional[float] = None
    cross_check_j: Optional[float] = None
    """The same window by the power readings, where the counter is primary."""
    idle_power_w: Optional[float] = None
    resident_power_w: Optional[float] = None
    adjusted_j: Optional[float] = None
    above_resident_j: Optional[float] = None
    per_output_token_j: Optional[float] = None
    per_total_token_j: Optional[float] = None
    per_request_j: Optional[float] = None
    devices: tuple[DeviceEnergy, ...] = ()


class HostEnergy(Record):
    """Energy of the host's CPU and memory over the window, apart from the GPU's."""

    cpu_j: Optional[float] = None
    dram_j: Optional[float] = None
    source: Literal["rapl", "codecarbon", "none"]
    estimated: bool


class RecorderStats(Record):
    """How evenly the recorder read, in seconds between readings."""

    period_s: float
    jitter_p50_s: float
    jitter_p99_s: float
    largest_gap_s: float


class Throughput(Record):
    """Rates over the window."""

    output_tokens_per_s: float
    total_tokens_per_s: float
    requests_per_s: float


class Distribution(Record):
    """A sample's mean and percentiles, in the unit of its name; `n` is how many values it has.

    Percentiles are interpolated linearly between neighbours: with few values (`n` below 100 for `p99`) the high ones
    are little more than the largest value.
    """

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    n: int


class Latency(Record):
    """Times over all requests of the window. None where the engine cannot tell for all of them; a warning says why."""

    request_s: Optional[Distribution] = None
    """From when the engine was given the request, waiting included, to its last output token."""
    queue_s: Optional[Distribution] = None
    """Of that, waiting before the engine began."""
    ttft_s: Optional[Distribution] = None
    """From when the engine was given the request to its first output token."""
    itl_s: Optional[Distribution] = None
    """Between one output token of a request and the next: all gaps of all requests are one sample."""


class Compute(Record):
    """Floating-point work that the requests of the window needed (padding is no part of it). `method`: the formula.

    A multiply-add is two operations. All but `parameters` are None together, with a warning that says why.
    """

    parameters: Optional[int] = None
    """Parameters of the model, all experts included."""
    active_parameters: Optional[int] = None
    """Elements of the matrices that one generated token is multiplied with: of experts those that are chosen."""
    flops_total: Optional[float] = None
    flops_prefill: Optional[float] = None
    flops_decode: Optional[float] = None
    flops_per_output_token: Optional[float] = None
    """`flops_total`, prefill included, over output tokens."""
    flops_per_s: Optional[float] = None
    """`flops_total` over the window."""
    method: Optional[str] = None


class Memory(Record):
    """Peak memory of the window as the device and as the allocator see it, and the model's own bytes."""

    peak_device_bytes: Optional[int] = None
    """Memory in use as the boards count it: contexts, caches of the allocator and other processes included. Read about
    every half second (shorter peaks are missed); each board's peak, added up over the boards of the run."""
    peak_allocated_bytes: Optional[int] = None
    """Bytes of live tensors as the engine's allocator counts them, exact, model included; each GPU's peak, added up."""
    model_bytes: Optional[int] = None
    """Bytes of the model's parameters and buffers as they were loaded."""


class Phase(Record):
    """One phase of the run, with its GPU energy as in `Pass`."""

    name: PhaseName
    start_unix_s: float
    end_unix_s: float
    energy_j: Optional[float] = None
    lower_j: Optional[float] = None
    upper_j: Optional[float] = None
    devices: tuple[DeviceJoules, ...] = ()


class Warmup(Record):
    """What the warm-up did. `cv` is of seconds per output token over the last `window_size` iterations."""

    iterations: int
    converged: Optional[bool] = None
    cv: Optional[float] = None
    duration_s: float = 0.0


class ClockReason(Record):
    """How long a reason for lower clocks was set within the window."""

    name: str
    duration_s: float = Field(ge=0)
    share: float = Field(ge=0, le=1)
    """Of the time for which the board's reasons are known (`observed_s`)."""


class DeviceThermal(Record):
    """Temperature and clock reasons of one GPU over the window."""

    uuid: str
    start_c: Optional[float] = None
    max_c: Optional[float] = None
    throttled: Optional[bool] = None
    observed_s: float = 0.0
    """For so long of the window its clock reasons are known."""
    reasons: tuple[ClockReason, ...] = ()


class Thermal(Record):
    """Temperature and throttling over the window, of the hottest GPU; `throttled` is None where no board says.

    `reasons` are those of all GPUs; `devices` has them for each, with durations.
    """

    start_c: Optional[float] = None
    max_c: Optional[float] = None
    throttled: Optional[bool] = None
    reasons: tuple[str, ...] = ()
    devices: tuple[DeviceThermal, ...] = ()


class Check(Record):
    """One quality check; `passed` is None where it could not be made."""

    name: str
    passed: Optional[bool] = None
    value: Any = None
    limit: Any = None


class Quality(Record):
    """The level is the worst that holds for all checks."""

    level: Level
    checks: tuple[Check, ...] = ()


class Image(Record):
    """The container image of the run; both None for a local run."""

    name: Optional[str] = None
    digest: Optional[str] = None


class ResultWarning(Record):
    """Something that a reader of the numbers has to know."""

    code: str
    message: str


class ExperimentResult(Record):
    """`result.json`. `attempt`, `cycle` and `image` are the host's; the runner leaves `cycle` and `image` out."""

    schema_version: int = RESULT_SCHEMA_VERSION
    contract_version: int
    run_id: str
    experiment_id: Optional[str] = None
    attempt: int
    nonce: str
    cycle: Optional[int] = None
    simulated: bool
    backend: str
    backend_version: str
    device: Device
    experiment: ExperimentConfig
    window: Window
    passes: tuple[Pass, ...] = Field(min_length=1)
    passes_spread: Optional[PassesSpread] = None
    """None where there was one pass only."""
    prompt_ids_sha256: Optional[str] = None
    """Of the token ids that the engine was given, prompt by prompt: runs with equal ones were asked the same."""
    tokens: Tokens
    requests: Requests
    energy: Energy
    host_energy: HostEnergy
    recorder: Optional[RecorderStats] = None
    throughput: Throughput
    latency: Latency
    compute: Compute
    memory: Memory
    phases: tuple[Phase, ...]
    warmup: Warmup
    thermal: Thermal
    quality: Quality
    image: Image = Image()
    environment: dict[str, Any]
    warnings: tuple[ResultWarning, ...] = ()
