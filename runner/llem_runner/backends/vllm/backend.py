"""The vllm backend: one `vllm.LLM` behind the backend protocol."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import vllm

from llem_runner.backends.context import check_fixed_length_fits, cut_at_context
from llem_runner.backends.device import choose_device
from llem_runner.backends.model_config import read_generation_defaults, read_model_config, stop_token_ids_of
from llem_runner.backends.protocol import Backend, BackendFacts, PeakMemory, RequestOutput
from llem_runner.backends.vllm.adapter import Adapter, read_adapter
from llem_runner.backends.vllm.arguments import engine_arguments, sort_passthrough
from llem_runner.backends.vllm.checkpoint import check_complete, empty_model
from llem_runner.backends.vllm.engine_log import EngineLog
from llem_runner.backends.vllm.facts import facts_of
from llem_runner.backends.vllm.failures import failing_to_generate, failing_to_load
from llem_runner.backends.vllm.generation import Generator
from llem_runner.backends.vllm.installed import known_names, refuse_impossible, usable_gpus
from llem_runner.backends.vllm.sampling import beam_arguments, sampling_arguments
from llem_runner.backends.vllm.statistics import Progress
from llem_runner.backends.vllm.watch import EngineWatch
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.workload.builtin_models import resolve_model_folder
from llem_runner.workload.tokens import PromptEncoder, load_tokenizer, ordinary_token_ids

# What the engine's processes hold is worth nothing after a run, and a stop leaves ten seconds for all: vLLM's own five
# are over before one that loads, or computes on a CPU, has ended.
_END_WITHIN_S = 2
# Nothing is reported to anybody while something is measured. What the user set stays.
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": str(_END_WITHIN_S),
}


def create() -> Backend:
    """A backend without a model."""
    return VllmBackend()


@dataclass(frozen=True)
class _Loaded:
    config: ExperimentConfig
    tokenizer: Any
    encoder: PromptEncoder
    generator: Generator
    settings: dict[str, Any]
    model_config: Any
    parameters: int | None
    stop_token_ids: tuple[int, ...]
    model_path: str
    adapter: Adapter | None
    log: EngineLog
    watch: EngineWatch

    @property
    def engine(self) -> Any:
        return self.generator.llm.llm_engine


class VllmBackend:
    """See `Backend`. Passes that sample continue the engine's random numbers: seeds per request would make vLLM take
    a slower way, which nobody measures by choice (`passthrough_kwargs` of the study can't name one either)."""

    def __init__(self) -> None:
        self._loaded: _Loaded | None = None
        self._llm: Any = None
        self._held = contextlib.ExitStack()
        """Files that are there while a model is, and what unload undoes besides."""
        self._cut = 0

    def load(
        self,
        config: ExperimentConfig,
        model_path: str,
        adapter_path: str | None,
        gpu_count: int,
        simulated: bool = False,
    ) -> None:
        """Load the model; see `Backend.load`."""
        self.unload()
        self._cut = 0
        device = choose_device(config.device, gpu_count, usable_gpus(), f"vLLM {vllm.__version__}", simulated)
        refuse_impossible(config, device)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        model_path, made_files = resolve_model_folder(model_path)
        if made_files is not None:
            self._held.enter_context(made_files)
        model_config = read_model_config(model_path, config)
        tokenizer = load_tokenizer(model_path, config.revision, config.trust_remote_code)
        encoder = PromptEncoder.for_experiment(tokenizer, config, model_config)
        stops = stop_token_ids_of(read_generation_defaults(model_path, config, model_config), tokenizer)
        adapter = read_adapter(config.lora, adapter_path) if config.lora else None
        known = known_names()
        arguments = engine_arguments(config, model_path, adapter.rank if adapter else None, known)
        settings = sampling_arguments(config, stops, sort_passthrough(config, known).sampling)
        beams = beam_arguments(config, vllm.sampling_params.BeamSearchParams.__struct_fields__, vllm.__version__)
        empty = empty_model(model_config, config.trust_remote_code)
        if config.weights == "real":
            check_complete(model_path, empty)
        log = EngineLog(Path(self._held.enter_context(TemporaryDirectory(prefix="llem-vllm-"))))
        log.configure()
        self._held.callback(log.close)
        with failing_to_load(model_path, log):
            sampling_params = vllm.SamplingParams(**settings)
            beam_params = vllm.sampling_params.BeamSearchParams(**beams) if beams else None
            self._llm = vllm.LLM(**arguments)
            progress = Progress()
            self._llm.llm_engine.logger_manager.stat_loggers.append(progress)
        generator = Generator(self._llm, sampling_params, beam_params, adapter.request() if adapter else None, progress)
        self._loaded = _Loaded(
            config=config,
            tokenizer=tokenizer,
            encoder=encoder,
            generator=generator,
            settings=beams or settings,
            model_config=model_config,
            parameters=None if empty is None else int(empty.num_parameters()),
            stop_token_ids=stops,
            model_path=model_path,
            adapter=adapter,
            log=log,
            watch=EngineWatch(self._llm.llm_engine.engine_core),
        )

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of prompts; see `Backend.encode`."""
        return self._need().encoder.encode(texts)

    def vocabulary(self) -> list[int]:
        """Ids for synthetic prompts; see `Backend.vocabulary`."""
        loaded = self._need()
        return ordinary_token_ids(loaded.tokenizer, loaded.model_config, loaded.stop_token_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of output tokens, special ones left out."""
        return str(self._need().tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def batch_limit(self) -> int:
        """`max_num_seqs` as the engine has it."""
        return int(self._need().engine.vllm_config.scheduler_config.max_num_seqs)

    def generate(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        """Answer all prompts in order; see `Backend.generate`."""
        loaded = self._need()
        context = loaded.engine.vllm_config.model_config.max_model_len
        check_fixed_length_fits(loaded.config, prompts, context, "vllm.engine.max_model_len")
        with failing_to_generate(loaded.log, loaded.watch):
            outputs = loaded.generator.answer(prompts, on_tokens)
        self._cut += cut_at_context(outputs, context, loaded.config.output_limit, loaded.stop_token_ids)
        return outputs

    def compiled_graphs(self) -> int | None:
        """None: vLLM compiles and captures while it loads, for every shape that it will use."""
        return None

    def reset_prefix_cache(self) -> bool | None:
        """Whether the engine forgot all prompts; None where it keeps none."""
        loaded = self._need()
        if not loaded.engine.vllm_config.cache_config.enable_prefix_caching:
            return None
        with failing_to_generate(loaded.log, loaded.watch):
            return bool(loaded.generator.llm.reset_prefix_cache())

    def synchronize(self) -> None:
        """Wait for every GPU in use."""
        self._ask("llem_synchronize")

    def reset_peak_memory(self) -> None:
        """Begin to count peak memory anew."""
        self._ask("llem_reset_peak_memory")

    def peak_memory(self) -> PeakMemory:
        """Peak bytes of torch's allocator, summed over the workers; none on the CPU."""
        peaks = self._ask("llem_peak_memory")
        return PeakMemory(None if any(peak is None for peak in peaks) else sum(peaks))

    def facts(self) -> BackendFacts:
        """What was loaded; see `facts.facts_of`."""
        loaded = self._need()
        workers = self._ask("llem_model")
        devices = sorted({device for worker in workers for device in worker["devices"]})
        return facts_of(
            loaded.config,
            version=vllm.__version__,
            vllm_config=loaded.engine.vllm_config,
            model_config=loaded.model_config,
            parameters=loaded.parameters,
            workers=workers,
            device=",".join(devices),
            generation=loaded.settings,
            beams=int(loaded.settings.get("beam_width", 1)),
            adapter_elements=loaded.adapter.elements if loaded.adapter else 0,
            stop_token_ids=loaded.stop_token_ids,
            model_path=loaded.model_path,
            adapter_path=loaded.adapter.path if loaded.adapter else None,
            load_s=loaded.log.durations(),
            preemptions=loaded.generator.progress.preemptions,
            cut_at_context=self._cut,
        )

    def unload(self) -> None:
        """End the engine's processes and free what is held here; safe to call twice and after an error."""
        loaded, self._loaded = self._loaded, None
        llm, self._llm = self._llm, None
        if loaded is not None:
            loaded.watch.end()
        try:
            if llm is not None:
                llm.llm_engine.engine_core.shutdown(_END_WITHIN_S)
                del llm, loaded
                from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

                cleanup_dist_env_and_memory()
        finally:
            self._held.close()

    def _ask(self, question: str) -> list[Any]:
        loaded = self._need()
        with failing_to_generate(loaded.log, loaded.watch):
            return list(loaded.generator.llm.collective_rpc(question))

    def _need(self) -> _Loaded:
        if self._loaded is None:
            raise RunFailed(FailureKind.INFERENCE, "No model is loaded.")
        return self._loaded
