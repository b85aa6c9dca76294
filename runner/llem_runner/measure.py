"""The procedure of one run, top to bottom: idle, load, resident, warm-up, measure, drain.

    what runs      ┊ nothing │ loading │ model, idle │ first full batch, again │ whole passes over all prompts │ nothing
    phase          ┊  idle   │  load   │  resident   │        warmup           │            measure            │ drain
    recorder       ┊▕▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔ one timeline, read every ~47 ms, sliced afterwards ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▏

Nothing idles between warm-up and window: a GPU is measured warm. Energy is not metered here: the timeline is cut at the
marks when all is over (`assemble.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

from llem_runner.assemble import Measured, MeasuredPass, assemble
from llem_runner.backends.protocol import Backend, RequestOutput
from llem_runner.backends.registry import open_backend
from llem_runner.contract import Allocation, ExchangeFolder, ExperimentConfig, ExperimentResult, RunOrder
from llem_runner.contract.result import Warmup
from llem_runner.event_log import EventLog
from llem_runner.marks import Marks, Span
from llem_runner.meter import Meter, beating, open_meter
from llem_runner.power.host import HostMeter
from llem_runner.workload.prompts import load_prompts
from llem_runner.workload.warmup import WarmupWatch

_RESIDENT_S = 3.0
_SAMPLES = 8

Prompts = Sequence[Sequence[int]]


def measure(
    order: RunOrder, allocation: Allocation, exchange: ExchangeFolder, events: EventLog, marks: Marks
) -> ExperimentResult:
    """Execute and measure one run. Raises RunFailed with the kind and the words of what went wrong."""
    config = order.experiment
    with ExitStack() as open_until_the_end:
        enter = open_until_the_end.enter_context
        meter = enter(open_meter(config, allocation, exchange.power))
        host = enter(closing(HostMeter()))
        enter(beating(meter, events))
        with marks.phase("idle"):
            if config.baseline.enabled:
                meter.settle(config.baseline.duration_seconds, events)
        with marks.phase("load"):
            host.start()
            backend = enter(_unloading(open_backend(config.backend)))
            model_path = allocation.model_path or config.model
            backend.load(config, model_path, allocation.adapter_path, len(allocation.gpu_uuids), meter.simulated)
            prompts = load_prompts(exchange.prompts, backend)
            host.ready()
        with marks.phase("resident"):
            backend.synchronize()
            meter.settle(_RESIDENT_S, events)
        with marks.phase("warmup"):
            warmup = _warm_up(backend, prompts, config, meter, events)
        with marks.phase("measure"):
            window, passes = _measure_window(backend, prompts, config, meter, host, events)
        with marks.phase("drain"):
            meter.drain(window.end_s)
        measured = Measured(
            order=order,
            marks=marks,
            window=window,
            passes=passes,
            warmup=warmup,
            facts=backend.facts(),
            memory=backend.peak_memory(),
            sample_texts=[backend.decode(request.token_ids) for request in passes[0].requests[:_SAMPLES]],
            host_energy=host.energy(),
            host_problem=host.problem,
            simulated=meter.simulated,
        )
        return assemble(measured, meter.finish(), exchange, events)


def _warm_up(backend: Backend, prompts: Prompts, config: ExperimentConfig, meter: Meter, events: EventLog) -> Warmup:
    """The first full batch again and again, under load, until it is steady."""
    batch = prompts[: backend.batch_limit()]
    watch = WarmupWatch(config.warmup, time.monotonic(), meter.reads)
    while not watch.done:
        backend.reset_prefix_cache()
        start_s = time.monotonic()
        outputs = backend.generate(batch, _while_alive(meter))
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
    host: HostMeter,
    events: EventLog,
) -> tuple[Span, list[MeasuredPass]]:
    """Whole passes over all prompts until the window is long enough; the device is synchronised at both marks."""
    passes: list[MeasuredPass] = []
    tokens_done = 0
    alive = _while_alive(meter)

    def on_tokens(count: int) -> None:
        nonlocal tokens_done
        tokens_done += count
        alive(count)
        events.progress(tokens_done, None, "tokens")

    backend.reset_peak_memory()
    cache_was_reset = backend.reset_prefix_cache()
    backend.synchronize()
    host.begin()
    start_s = time.monotonic()
    while True:
        pass_start_s = passes[-1].span.end_s if passes else start_s
        if passes:
            cache_was_reset = backend.reset_prefix_cache()
        outputs: list[RequestOutput] = backend.generate(prompts, on_tokens)
        backend.synchronize()
        end_s = time.monotonic()
        passes.append(MeasuredPass(Span(pass_start_s, end_s), tuple(outputs), cache_was_reset))
        if end_s - start_s >= config.energy.min_window_seconds:
            break
    host.end()
    return Span(start_s, end_s), passes


def _while_alive(meter: Meter) -> Callable[[int], None]:
    """What every generated token does besides being counted: a lost GPU ends the run now, not after the pass."""

    def on_tokens(count: int) -> None:
        del count
        meter.check()

    return on_tokens


@contextmanager
def _unloading(backend: Backend) -> Iterator[Backend]:
    try:
        yield backend
    finally:
        backend.unload()
