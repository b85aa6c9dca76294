"""What a run will need of a GPU's memory: weights, key-value cache, and the engine's own. A forecast. Pure.

    weights    elements of the model's matrices × bytes of an element; of a model that is quantised, or whose matrices
               are not known, the bytes of its files
    KV cache   2 × key-value heads × width of a head × bytes of an element, for each layer and token that it holds (one
               with a sliding window holds no more than that)
    engine     a CUDA context and the kernels that are loaded into it, on each GPU

`least_bytes` is what is needed whatever the prompts are: a GPU with less is too small. `most_bytes` is with the cache
as full as the experiment's limits allow, which short prompts never make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llem_runner.contract import ExperimentConfig
from llem_runner.metrics.architecture import Config, Uncountable, renamed, shape_of

_CONTEXT_BYTES = 300 << 20
"""A CUDA context with torch's kernels takes 300 to 600 MiB, from board to board."""
_ELEMENT_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0}
_STORED_BYTES = {"float64": 8.0, "float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
_BITS_4, _BITS_8 = 0.5, 1.0
_VLLM_UTILISATION = 0.9
"""vLLM's own default of `gpu_memory_utilization`."""


@dataclass(frozen=True)
class ModelFiles:
    """What a model's folder tells: `config.json`, and the bytes of all files with weights."""

    config: Config
    weights_bytes: int


@dataclass(frozen=True)
class Forecast:
    """Bytes on all GPUs of a run together. `share`: the part of their memory that the engine may take."""

    weights_bytes: int
    least_kv_bytes: int
    most_kv_bytes: int
    engine_bytes: int
    share: float = 1.0

    @property
    def least_bytes(self) -> int:
        """Without this much the engine does not start."""
        return self.weights_bytes + self.least_kv_bytes + self.engine_bytes

    @property
    def most_bytes(self) -> int:
        """With this much it never runs out."""
        return self.weights_bytes + self.most_kv_bytes + self.engine_bytes


def forecast(experiment: ExperimentConfig, files: ModelFiles, gpus: int) -> Forecast:
    """What a run of `experiment` needs on its `gpus` GPUs together."""
    config = renamed(_text_part(files.config))
    weights = _weights_bytes(experiment, ModelFiles(config, files.weights_bytes))
    of_a_layer = _kv_bytes_of_a_layer(config, _kv_element_bytes(experiment))
    engine = gpus * _CONTEXT_BYTES
    if experiment.vllm is not None:
        settings = experiment.vllm.engine
        offloaded = round((settings.cpu_offload_gb or 0) * 2**30) * gpus
        # It keeps room for one request of full length, or does not start; more requests than fit have to wait.
        kv = settings.kv_cache_memory_bytes or of_a_layer * _held(config, _longest(experiment, config))
        share = 1.0 if settings.kv_cache_memory_bytes else settings.gpu_memory_utilization or _VLLM_UTILISATION
        return Forecast(max(0, weights - offloaded), kv, kv, engine, share)
    requests, tokens = _at_once(experiment)
    return Forecast(weights, 0, of_a_layer * requests * _held(config, tokens), engine)


def _weights_bytes(experiment: ExperimentConfig, files: ModelFiles) -> int:
    own = _ELEMENT_BYTES[experiment.precision]
    matrices_bytes = _bytes_of_a_matrix(experiment, own)
    if "quantization_config" in files.config:
        return files.weights_bytes
    try:
        shape = shape_of(files.config)
    except Uncountable:
        stored = _STORED_BYTES.get(str(files.config.get("dtype") or files.config.get("torch_dtype")), own)
        return round(files.weights_bytes * matrices_bytes / stored)
    layers = sum(layer.stored for layer in shape.layers)
    # What is quantised on the way in is the layers: embeddings and head stay as they are.
    return round(layers * matrices_bytes + (shape.stored - layers) * own)


def _bytes_of_a_matrix(experiment: ExperimentConfig, own: float) -> float:
    if experiment.pytorch is not None:
        if experiment.pytorch.load_in_4bit:
            return _BITS_4
        if experiment.pytorch.load_in_8bit:
            return _BITS_8
    if experiment.vllm is not None and experiment.vllm.engine.quantization is not None:
        # Of a method that takes a checkpoint made for it, the checkpoint says so itself (quantization_config).
        return _BITS_4 if "bitsandbytes" in experiment.vllm.engine.quantization else _BITS_8
    return own


def _kv_element_bytes(experiment: ExperimentConfig) -> float:
    written = experiment.vllm.engine.kv_cache_dtype if experiment.vllm is not None else None
    return 1.0 if written and written.startswith("fp8") else _ELEMENT_BYTES[experiment.precision]


def _kv_bytes_of_a_layer(config: Config, element_bytes: float) -> int:
    """For one token; 0 where the configuration does not tell: nothing is claimed of what is not known."""
    if (latent := config.get("kv_lora_rank")) is not None:
        # Multi-head latent attention holds the latents and the rotated part, once for all heads.
        return round((_whole(latent) + _whole(config.get("qk_rope_head_dim"))) * element_bytes)
    hidden, heads = _whole(config.get("hidden_size")), _whole(config.get("num_attention_heads"))
    kv_heads = _whole(config.get("num_key_value_heads") or config.get("num_kv_heads") or heads)
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        kv_heads = 1
    width = _whole(config.get("head_dim")) or (hidden // heads if heads else 0)
    return round(2 * kv_heads * width * element_bytes)


def _held(config: Config, tokens: int) -> int:
    """Tokens that the layers hold of a sequence of so many, summed over the layers; no layer that may hold none."""
    try:
        windows = [layer.window for layer in shape_of(config).layers]
    except Uncountable:
        count, kinds = _whole(config.get("num_hidden_layers")), config.get("layer_types")
        if isinstance(kinds, list):
            count = kinds.count("full_attention")
        windows = [config.get("sliding_window")] * count
    return sum(min(tokens, _whole(window) or tokens) for window in windows)


def _longest(experiment: ExperimentConfig, config: Config) -> int:
    """Tokens of a request of full length, as vLLM understands it."""
    written = experiment.vllm.engine.max_model_len if experiment.vllm is not None else None
    return written or _whole(config.get("max_position_embeddings"))


def _at_once(experiment: ExperimentConfig) -> tuple[int, int]:
    """Sequences that transformers holds at most, one full batch, and tokens of each: as many as the limits allow."""
    settings = experiment.pytorch
    if settings is None or not settings.use_cache:
        return 0, 0
    batch = min(settings.batch_size, experiment.n) * settings.num_beams
    return batch, experiment.input_limit + experiment.output_limit


def _text_part(config: Config) -> Config:
    """Of a model that sees as well as reads, the part that is about text."""
    part = config.get("text_config")
    return {**config, **part} if isinstance(part, Mapping) else config


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
