"""What was measured → ExperimentResult. Everything here is computed after the run, from the timeline and the marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llem_runner import rules_of_thumb, unmeasured
from llem_runner.backends.protocol import BackendFacts, PeakMemory, RequestOutput
from llem_runner.contract import ExchangeFolder, ExperimentResult, RunOrder
from llem_runner.contract.builtin import PACKAGED_MODELS, TINY_LLAMA
from llem_runner.contract.events import PhaseName
from llem_runner.contract.exchange import Sample
from llem_runner.contract.result import (
    Check,
    Device,
    Energy,
    HostEnergy,
    Memory,
    Pass,
    Phase,
    Quality,
    Requests,
    Thermal,
    Throughput,
    Tokens,
    Warmup,
    Window,
)
from llem_runner.energy_report import EnergyReport
from llem_runner.environment import environment
from llem_runner.event_log import EventLog
from llem_runner.marks import Marks, Span
from llem_runner.meter import MeterChoice, Recording
from llem_runner.metrics import quality
from llem_runner.metrics.flops import compute_of
from llem_runner.metrics.foreign import Occupancy
from llem_runner.metrics.latency import latency_of, unknown_parts
from llem_runner.metrics.saturation import saturated_share
from llem_runner.metrics.scatter import passes_spread
from llem_runner.metrics.tokens import count_tokens
from llem_runner.occupancy import occupancy, temperature_rise_c


@dataclass(frozen=True)
class MeasuredPass:
    """One whole pass over the prompts. `cache_was_reset`: as the engine answered before it began."""

    span: Span
    requests: tuple[RequestOutput, ...]
    cache_was_reset: bool | None

    @property
    def output_tokens(self) -> int:
        """Output tokens of all requests."""
        return sum(len(request.token_ids) for request in self.requests)


@dataclass(frozen=True)
class CompiledGraphs:
    """How many graphs the engine had compiled before and after the window; None where it compiles none.

    `by_a_pass`: whether a whole pass was made before the warm-up's iterations, so that every batch was seen.
    """

    before_window: int | None
    after_window: int | None
    by_a_pass: bool

    @property
    def inside_window(self) -> int:
        """Graphs that were compiled while it was measured."""
        return (self.after_window or 0) - (self.before_window or 0)

    def described(self) -> dict[str, Any] | None:
        """For the result's environment."""
        if self.before_window is None:
            return None
        return {
            "before_window": self.before_window,
            "after_window": self.after_window,
            "whole_pass_before_warmup": self.by_a_pass,
        }


@dataclass(frozen=True)
class Measured:
    """What the procedure brought home. `sample_texts`: the first requests of the first pass, decoded.

    `idle` and `resident` are the spans through which it really waited for those powers; `batch_limit` is the most
    requests that the engine takes at once.
    """

    order: RunOrder
    marks: Marks
    idle: Span | None
    resident: Span | None
    window: Span
    passes: Sequence[MeasuredPass]
    warmup: Warmup
    facts: BackendFacts
    memory: PeakMemory
    sample_texts: Sequence[str]
    compiled: CompiledGraphs
    batch_limit: int
    prompt_ids_sha256: str
    host_energy: HostEnergy
    host_problem: str | None
    simulated: bool
    meter: MeterChoice

    @property
    def requests(self) -> list[RequestOutput]:
        """Requests of all passes."""
        return [request for one in self.passes for request in one.requests]


def assemble(measured: Measured, recording: Recording, exchange: ExchangeFolder, events: EventLog) -> ExperimentResult:
    """The result, and `out/samples.jsonl` beside it. Raises GpuLost where the counter broke within the window."""
    order, marks, facts = measured.order, measured.marks, measured.facts
    config = order.experiment
    report = EnergyReport(recording, events.warning, order.calibration)
    tokens = count_tokens(measured.requests)
    energy = report.window(
        measured.window,
        idle=measured.idle,
        resident=measured.resident,
        output_tokens=tokens.output,
        all_tokens=tokens.total,
        requests=len(measured.requests),
    )
    compute, uncounted = compute_of(facts.arithmetic, facts.parameters, measured.requests, measured.window.duration_s)
    latency = latency_of(measured.requests)
    thermal = report.thermal(measured.window)
    _write_samples(exchange, measured)
    memory = Memory(
        peak_device_bytes=report.peak_memory_bytes(measured.window),
        peak_allocated_bytes=measured.memory.allocated_bytes,
        model_bytes=facts.model_bytes,
    )
    recorder = report.recorder(measured.window.end_s)
    agreement = quality.counter_agrees(energy, measured.window.duration_s)
    passes = tuple(_pass(one, marks, report) for one in measured.passes)
    phases = _phases(marks, report)
    occupied = occupancy(recording, marks.phases["load"].start_s, measured.window)
    checks = _checks(measured, energy, agreement, thermal, tokens, occupied)
    for code, message in (
        *facts.warnings,
        *unmeasured.of_the_workload(memory, tokens, measured.warmup, facts),
        *unmeasured.of_the_times(unknown_parts(measured.requests, latency)),
        *unmeasured.of_the_compute(uncounted),
        *unmeasured.of_the_host(measured.host_energy, measured.host_problem),
        *(unmeasured.of_the_boards(thermal, memory, recorder) if recording.timeline else ()),
        *unmeasured.of_the_energy(energy, agreement, recording.boards),
        *_rules_of_thumb(measured, tokens, recording, occupied, checks),
        *_of_the_run(measured),
    ):
        events.warning(code, message)
    return ExperimentResult(
        contract_version=order.contract_version,
        run_id=order.run_id,
        attempt=order.attempt,
        nonce=order.nonce,
        simulated=measured.simulated,
        backend=facts.name,
        backend_version=facts.version,
        device=Device(requested=config.device, used=facts.device_used),
        experiment=config,
        window=_window(measured),
        passes=passes,
        passes_spread=passes_spread(passes, [one.span.duration_s for one in measured.passes]),
        prompt_ids_sha256=measured.prompt_ids_sha256,
        tokens=tokens,
        requests=Requests(total=config.n * len(measured.passes), completed=len(measured.requests)),
        energy=energy,
        host_energy=measured.host_energy,
        recorder=recorder,
        throughput=_throughput(tokens, len(measured.requests), measured.window),
        latency=latency,
        compute=compute,
        memory=memory,
        phases=phases,
        warmup=measured.warmup,
        thermal=thermal,
        quality=Quality(level=quality.level(checks, energy), checks=checks),
        environment=_environment(measured, recording),
        warnings=events.warnings,
    )


def _checks(
    measured: Measured,
    energy: Energy,
    agreement: Check,
    thermal: Thermal,
    tokens: Tokens,
    occupied: Sequence[Occupancy],
) -> tuple[Check, ...]:
    config = measured.order.experiment
    return quality.complete(
        [
            agreement,
            quality.window_length(measured.window.duration_s),
            quality.bounds_width(energy),
            quality.throttling(thermal.throttled),
            quality.foreign_processes(occupied, measured.facts.processes_per_gpu),
            quality.warmup_converged(measured.warmup, config.warmup.cv_threshold),
            quality.real_weights(config.weights == "real" and config.model != TINY_LLAMA),
            quality.saturation(_saturated_share(measured)),
            quality.prefix_cache(tokens.cached),
        ]
    )


def _saturated_share(measured: Measured) -> float | None:
    window, prompts = measured.window, measured.order.experiment.n
    return saturated_share(measured.requests, measured.batch_limit, prompts, window.start_s, window.end_s)


def _throughput(tokens: Tokens, requests: int, window: Span) -> Throughput:
    return Throughput(
        output_tokens_per_s=tokens.output / window.duration_s,
        total_tokens_per_s=tokens.total / window.duration_s,
        requests_per_s=requests / window.duration_s,
    )


def _window(measured: Measured) -> Window:
    marks, window = measured.marks, measured.window
    return Window(
        start_unix_s=marks.unix(window.start_s),
        end_unix_s=marks.unix(window.end_s),
        duration_s=window.duration_s,
    )


def _pass(one: MeasuredPass, marks: Marks, report: EnergyReport) -> Pass:
    joules = report.joules(one.span, "pass")
    return Pass(
        start_unix_s=marks.unix(one.span.start_s),
        end_unix_s=marks.unix(one.span.end_s),
        energy_j=joules.total_j,
        lower_j=joules.lower_j,
        upper_j=joules.upper_j,
        devices=joules.devices,
        output_tokens=one.output_tokens,
    )


def _phases(marks: Marks, report: EnergyReport) -> tuple[Phase, ...]:
    return tuple(_phase(name, span, marks, report) for name, span in marks.phases.items())


def _phase(name: PhaseName, span: Span, marks: Marks, report: EnergyReport) -> Phase:
    joules = report.joules(span, "phase")
    return Phase(
        name=name,
        start_unix_s=marks.unix(span.start_s),
        end_unix_s=marks.unix(span.end_s),
        energy_j=joules.total_j,
        lower_j=joules.lower_j,
        upper_j=joules.upper_j,
        devices=joules.devices,
    )


def _write_samples(exchange: ExchangeFolder, measured: Measured) -> None:
    with exchange.samples.open("w", encoding="utf-8") as file:
        for index, (request, text) in enumerate(zip(measured.passes[0].requests, measured.sample_texts, strict=False)):
            sample = Sample(
                index=index, input_tokens=request.input_tokens, output_token_ids=request.token_ids, text=text
            )
            file.write(sample.model_dump_json() + "\n")


def _environment(measured: Measured, recording: Recording) -> dict[str, Any]:
    described = environment(measured.facts, recording.boards)
    described["meter"] = measured.meter.described()
    described["engine"]["compiled_graphs"] = measured.compiled.described()
    return described


def _rules_of_thumb(
    measured: Measured, tokens: Tokens, recording: Recording, occupied: Sequence[Occupancy], checks: Sequence[Check]
) -> Iterator[tuple[str, str]]:
    rise_c = temperature_rise_c(recording, measured.window)
    yield from rules_of_thumb.of_the_window(measured.window.duration_s, rise_c)
    yield from rules_of_thumb.of_the_batch(measured.order.experiment.n, measured.batch_limit)
    yield from rules_of_thumb.of_the_padding(tokens.padding_share)
    if recording.timeline:
        [company] = [check for check in checks if check.name == "foreign_processes"]
        yield from rules_of_thumb.of_the_boards(recording.boards, occupied)
        yield from rules_of_thumb.of_the_company(company, occupied, measured.facts.processes_per_gpu)


def _of_the_run(measured: Measured) -> Iterator[tuple[str, str]]:
    """Warnings about how the run went, and about what it was given."""
    model = PACKAGED_MODELS.get(measured.order.experiment.model)
    if model is not None:
        yield "weights_dequantised", f"{model.name}: {model.weights}."
    if any(one.cache_was_reset is False for one in measured.passes):
        yield "prefix_cache_not_reset", "The engine did not reset its prefix cache before a pass."
    inside = measured.compiled.inside_window
    if inside:
        yield (
            "recompiled_in_window",
            f"The engine compiled {inside} graphs inside the window: their time and energy are in the result.",
        )
