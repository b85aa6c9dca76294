"""The pytorch backend: one transformers model behind the backend protocol."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch
import transformers

from llem_runner.backends.device import check_placement, choose_device
from llem_runner.backends.facts import model_files
from llem_runner.backends.failures import backend_failure, failing_as, inference_failure
from llem_runner.backends.model_config import read_generation_defaults, read_model_config, stop_token_ids_of
from llem_runner.backends.protocol import Backend, BackendFacts, PeakMemory, RequestOutput
from llem_runner.backends.pytorch import facts
from llem_runner.backends.pytorch.generation import Generator, generation_settings
from llem_runner.backends.pytorch.loading import (
    STATIC_CACHES,
    add_lora,
    compile_settings,
    load_model,
)
from llem_runner.backends.pytorch.passthrough import Passthrough, names_known_to_transformers, sort_passthrough
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.engines import PytorchConfig
from llem_runner.workload.builtin_models import resolve_model_folder
from llem_runner.workload.tokens import PromptEncoder, load_tokenizer, ordinary_token_ids


def create() -> Backend:
    """A backend without a model."""
    return PytorchBackend()


@dataclass(frozen=True)
class _Loaded:
    config: ExperimentConfig
    device: str
    tokenizer: Any
    encoder: PromptEncoder
    generator: Generator
    stop_token_ids: tuple[int, ...]
    model_path: str
    adapter_path: str | None


class PytorchBackend:
    """See `Backend`. Every `generate` begins from the experiment's seed, so that each pass samples the same answers."""

    def __init__(self) -> None:
        self._loaded: _Loaded | None = None
        self._made_files: TemporaryDirectory[str] | None = None

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
        section = config.pytorch or PytorchConfig()
        _refuse_impossible(section)
        cuda_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        device = choose_device(config.device, gpu_count, cuda_count, f"torch {torch.__version__}", simulated)
        model_path, self._made_files = resolve_model_folder(model_path)
        model_config = read_model_config(model_path, config)
        passthrough = _passthrough(config, model_config)
        tokenizer = load_tokenizer(model_path, config.revision, config.trust_remote_code)
        encoder = PromptEncoder.for_experiment(tokenizer, config, model_config)
        defaults = read_generation_defaults(model_path, config, model_config)
        seed_everything(config.random_seed)
        model = load_model(model_path, config, model_config, device, passthrough)
        check_placement(device, facts.devices_of(model), 0 if simulated else gpu_count)
        if config.lora:
            model = add_lora(model, config.lora, adapter_path)
        stops = stop_token_ids_of(defaults, tokenizer)
        settings = generation_settings(config, stops, _pad_token_id(defaults, tokenizer, stops), passthrough.generation)
        generator = _generator(model, settings, section)
        self._loaded = _Loaded(config, device, tokenizer, encoder, generator, stops, model_path, adapter_path)
        if config.synthetic:
            self._loaded.generator.longest_input = config.synthetic.input_len

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of prompts; see `Backend.encode`."""
        loaded = self._need()
        encoded = loaded.encoder.encode(texts)
        loaded.generator.longest_input = max([loaded.generator.longest_input, *(len(ids) for ids in encoded)])
        return encoded

    def vocabulary(self) -> list[int]:
        """Ids for synthetic prompts; see `Backend.vocabulary`."""
        loaded = self._need()
        return ordinary_token_ids(loaded.tokenizer, loaded.generator.model.config, loaded.stop_token_ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of output tokens, special ones left out."""
        return str(self._need().tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def batch_limit(self) -> int:
        """`pytorch.batch_size`."""
        return self._need().generator.batch_size

    def generate(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        """Answer all prompts in order, in batches; see `Backend.generate`."""
        loaded = self._need()
        seed_everything(loaded.config.random_seed)
        # No inference mode around it: `generate` turns gradients off by itself, and what is measured is transformers as
        # people run it (with inference mode a tiny model is 6 % faster than their scripts).
        with failing_as(inference_failure):
            return loaded.generator.answer(prompts, on_tokens)

    def compiled_graphs(self) -> int | None:
        """What torch.compile has made so far; None where the experiment does not compile."""
        section = self._need().config.pytorch
        return facts.compiled_graphs() if section and section.torch_compile else None

    def reset_prefix_cache(self) -> bool | None:
        """None: transformers keeps nothing of a prompt across calls."""
        return None

    def synchronize(self) -> None:
        """Wait for every GPU in use."""
        with failing_as(inference_failure):
            for index in self._gpus():
                torch.cuda.synchronize(index)

    def reset_peak_memory(self) -> None:
        """Begin to count peak memory anew."""
        for index in self._gpus():
            torch.cuda.reset_peak_memory_stats(index)

    def peak_memory(self) -> PeakMemory:
        """Peak bytes of torch's allocator, summed over the GPUs; none on the CPU."""
        gpus = self._gpus()
        return PeakMemory(sum(torch.cuda.max_memory_allocated(index) for index in gpus) if gpus else None)

    def facts(self) -> BackendFacts:
        """What was loaded; see `facts.facts_of`."""
        loaded = self._need()
        model = loaded.generator.model
        files = model_files(loaded.config, model.config, loaded.model_path, loaded.adapter_path)
        return facts.facts_of(loaded.config, loaded.generator, loaded.device, loaded.stop_token_ids, files)

    def unload(self) -> None:
        """Free everything; safe to call twice and after an error."""
        self._loaded = None
        # The files first: a GPU that failed raises below.
        if self._made_files is not None:
            self._made_files.cleanup()
            self._made_files = None
        if torch.cuda.is_available():
            # What a GPU holds is given back only once no cycle of objects keeps it, and then only on request.
            gc.collect()
            torch.cuda.empty_cache()

    def _need(self) -> _Loaded:
        if self._loaded is None:
            raise RunFailed(FailureKind.INFERENCE, "No model is loaded.")
        return self._loaded

    def _gpus(self) -> list[int]:
        if self._loaded is None:
            return []
        used = {torch.device(name) for name in facts.devices_of(self._loaded.generator.model)}
        return sorted(device.index or 0 for device in used if device.type == "cuda")


def seed_everything(seed: int) -> None:
    """Seed every generator that loading or sampling may draw from."""
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def _pad_token_id(defaults: Any, tokenizer: Any, stops: Sequence[int]) -> int:
    """The id that fills finished requests. It is never counted, so that any id does where the model names none."""
    candidates = (tokenizer.pad_token_id, defaults.pad_token_id, *stops, 0)
    return int(next(candidate for candidate in candidates if candidate is not None))


def _refuse_impossible(section: PytorchConfig) -> None:
    if section.num_processes > 1:
        raise RunFailed(FailureKind.BACKEND, "pytorch.num_processes above 1 is not available yet.")
    if section.prompt_lookup_num_tokens and section.batch_size > 1:
        raise RunFailed(FailureKind.BACKEND, "pytorch.prompt_lookup_num_tokens works with pytorch.batch_size: 1 only.")


def _passthrough(config: ExperimentConfig, model_config: Any) -> Passthrough:
    generation_names, loading_names = names_known_to_transformers()
    return sort_passthrough(config.passthrough_kwargs, generation_names, loading_names, vars(model_config).keys())


def _generator(model: Any, settings: dict[str, Any], section: PytorchConfig) -> Generator:
    # Replaced whole: `generate` would fill whatever the experiment leaves unset from the model's own defaults.
    model.generation_config = transformers.GenerationConfig()
    generator = Generator(model, settings, section.batch_size, section.batch_order)
    if not section.torch_compile:
        return generator
    with failing_as(lambda error: backend_failure("torch.compile", error)):
        if section.cache_implementation in STATIC_CACHES:
            # transformers' own way for static shapes: decoding steps are compiled, the prefill is not.
            generator.compile_config = transformers.CompileConfig(**compile_settings(section))
            generator.compile_config._compile_all_devices = True
        else:
            model.compile(**compile_settings(section))
    return generator
