"""The procedure of one run, top to bottom: idle, load, resident, warm-up, measure, drain.

    what runs      ┊ nothing │ loading │ model, idle │ first full batch, again │ whole passes over all prompts │ nothing
    phase          ┊  idle   │  load   │  resident   │        warmup           │            measure            │ drain
    recorder       ┊▕▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔ one timeline, read every ~47 ms, sliced afterwards ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▏

Nothing idles between warm-up and window: a GPU is measured warm. Energy is not metered here: the timeline is cut at the
marks when all is over (`assemble.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from llem_runner.allocated import cuda_environment
from llem_runner.assemble import CompiledGraphs, Measured, MeasuredPass, assemble
from llem_runner.backends.protocol import Backend, RequestOutput
from llem_runner.backends.registry import open_backend
from llem_runner.contract import Allocation, ExchangeFolder, ExperimentConfig, ExperimentResult, RunOrder
from llem_runner.contract.result import Warmup
from llem_runner.event_log import EventLog
from llem_runner.guard import blaming_a_lost_gpu, unloading, while_alive
from llem_runner.lifeline import StopRequest
from llem_runner.marks import Marks, Span
from llem_runner.meter import Meter, beating, open_meter
from llem_runner.power.host import HostEnergyMeter, open_host_meter
from llem_runner.workload.prompts import ids_sha256, load_prompts
from llem_runner.workload.warmup import WarmupWatch

_RESIDENT_S = 3.0
_SAMPLES = 8

Prompts = Sequence[Sequence[int]]


def measure(
    order: RunOrder,
    allocation: Allocation,
    exchange: ExchangeFolder,
    events: EventLog,
    marks: Marks,
    stop: StopRequest,
) -> ExperimentResult:
    """Execute and measure one run. Raises RunFailed with the kind and the words of what went wrong, and Stopped."""
    config = order.experiment
    with ExitStack() as open_until_the_end:
        enter = open_until_the_end.enter_context
        meter = enter(open_meter(config, allocation, exchange.power, marks.unix_offset_s))
        host = enter(closing(open_host_meter()))
        enter(beating(meter, events))
        enter(blaming_a_lost_gpu(meter))
        idle: Span | None = None
        with marks.phase("idle"):
            if config.baseline.enabled:
                idle = meter.settle(config.baseline.duration_seconds, events)
        with marks.phase("load"):
            host.start()
            # Before the engine is imported: it looks once.
            os.environ.update(cuda_environment(meter.boards))
            backend = enter(unloading(open_backend(config.backend)))
            model_path = allocation.model_path or config.model
            backend.load(config, model_path, allocation.adapter_path, len(allocation.gpu_uuids), meter.simulated)
            prompts = load_prompts(exchange.prompts, backend)
            host.ready()
        with marks.phase("resident"):
            backend.synchronize()
            resident = meter.settle(_RESIDENT_S, events)
        with marks.phase("warmup"):
            alive = while_alive(meter, stop, _counting(events))
            compiled_by_a_pass = _compile_every_batch(backend, prompts, config, alive)
            warmup = _warm_up(backend, prompts, config, meter, alive, events)
        with marks.phase("measure"):
            alive = while_alive(meter, stop, _counting(events))
            compiled_before = backend.compiled_graphs()
            window, passes = _measure_window(backend, prompts, config, meter, host, alive)
            compiled = CompiledGraphs(compiled_before, backend.compiled_graphs(), compiled_by_a_pass)
        with marks.phase("drain"):
            meter.drain(window.end_s)
        measured = Measured(
            order=order,
            marks=marks,
            idle=idle,
            resident=resident,
            window=window,
            passes=passes,
            compiled=compiled,
            batch_limit=backend.batch_limit(),
            prompt_ids_sha256=ids_sha256(prompts),
            warmup=warmup,
            facts=backend.facts(),
            memory=backend.peak_memory(),
            sample_texts=[backend.decode(request.token_ids) for request in passes[0].requests[:_SAMPLES]],
            host_energy=host.energy(),
            host_problem=host.problem,
            simulated=meter.simulated,
            meter=meter.choice,
        )
        # A little longer, so that the drain's own energy is known as well.
        meter.drain(marks.phases["drain"].end_s)
        return assemble(measured, meter.finish(), exchange, events)


def _compile_every_batch(
    backend: Backend, prompts: Prompts, config: ExperimentConfig, alive: Callable[[int], None]
) -> bool:
    """One whole pass where the engine compiles: the warm-up's batch has one shape, the others would be compiled in the
    window. Whether there was one."""
    needed = config.warmup.enabled and len(prompts) > backend.batch_limit() and backend.compiled_graphs() is not None
    if needed:
        backend.reset_prefix_cache()
        backend.generate(prompts, alive)
        backend.synchronize()
    return needed


def _warm_up(
    backend: Backend,
    prompts: Prompts,
    config: ExperimentConfig,
    meter: Meter,
    alive: Callable[[int], None],
    events: EventLog,
) -> Warmup:
    """The first full batch again and again, under load, until it is steady."""
    batch = prompts[: backend.batch_limit()]
    watch = WarmupWatch(config.warmup, time.monotonic(), meter.reads)
    while not watch.done:
        backend.reset_prefix_cache()
        start_s = time.monotonic()
        outputs = backend.generate(batch, alive)
        backend.synchronize()
        end_s = time.monotonic()
        tokens = sum(len(output.token_ids) for output in outputs)
        watch.add(end_s, (end_s - start_s) / max(tokens, 1), meter.temperature_c())
        events.progress(watch.iterations, None, "iterations")
    return watch.outcome()


def _measure_window(
    backend: Backend,
    prompts: Prompts,
    config: ExperimentConfig,
    meter: Meter,
    host: HostEnergyMeter,
    alive: Callable[[int], None],
) -> tuple[Span, list[MeasuredPass]]:
    """Whole passes over all prompts until the window is long enough; the device is synchronised at both marks."""
    passes: list[MeasuredPass] = []
    backend.reset_peak_memory()
    cache_was_reset = backend.reset_prefix_cache()
    backend.synchronize()
    host.begin()
    meter.begin()
    meter.mark()
    start_s = time.monotonic()
    while True:
        pass_start_s = passes[-1].span.end_s if passes else start_s
        if passes:
            cache_was_reset = backend.reset_prefix_cache()
        outputs: list[RequestOutput] = backend.generate(prompts, alive)
        backend.synchronize()
        meter.mark()
        end_s = time.monotonic()
        passes.append(MeasuredPass(Span(pass_start_s, end_s), tuple(outputs), cache_was_reset))
        if end_s - start_s >= config.energy.min_window_seconds:
            break
    meter.end()
    host.end()
    return Span(start_s, end_s), passes


def _counting(events: EventLog) -> Callable[[int], None]:
    """Tells of the tokens of a phase, as they come: the sign of life that the host waits for."""
    done = 0

    def count(new: int) -> None:
        nonlocal done
        done += new
        events.progress(done, None, "tokens")

    return count
