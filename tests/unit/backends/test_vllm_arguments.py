"""What an experiment asks of vLLM, against the installed vLLM's own names: no engine is started."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from llem_runner.backends.vllm.arguments import KnownNames, engine_arguments, sort_passthrough
from llem_runner.backends.vllm.sampling import beam_arguments, sampling_arguments
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.engines import (
    PytorchConfig,
    VllmBeamSearchConfig,
    VllmEngineConfig,
    VllmSamplingConfig,
)

STOPS = (2, 7)
NOT_OF_VLLM = {"early_stopping"}
"""Keys of the study file that vLLM 0.32 lacks: asking for them is an error that names the version."""
NOT_OF_GENERATION = {
    "batch_size": "ours",
    "batch_order": "ours",
    "attn_implementation": "from_pretrained",
    "device_map": "from_pretrained",
    "max_memory": "from_pretrained",
    "num_processes": "ours",
    "torch_compile": "ours",
    "torch_compile_mode": "torch.compile",
    "torch_compile_backend": "torch.compile",
    "load_in_4bit": "BitsAndBytesConfig",
    "load_in_8bit": "BitsAndBytesConfig",
    "bnb_4bit_compute_dtype": "BitsAndBytesConfig",
    "bnb_4bit_quant_type": "BitsAndBytesConfig",
    "bnb_4bit_use_double_quant": "BitsAndBytesConfig",
}


@pytest.fixture(scope="module")
def known() -> KnownNames:
    """The names of the vLLM that is installed."""
    from llem_runner.backends.vllm.backend import known_names

    return known_names()


def experiment(**keys: Any) -> ExperimentConfig:
    """One of the vllm backend."""
    return ExperimentConfig.model_validate({"model": "m", "backend": "vllm", **keys})


def failure(action: Any) -> RunFailed:
    """What `action` fails with."""
    with pytest.raises(RunFailed) as raised:
        action()
    return raised.value


ENGINE_VALUES: dict[str, Any] = {
    "gpu_memory_utilization": 0.5,
    "cpu_offload_gb": 1.0,
    "block_size": 32,
    "kv_cache_dtype": "fp8",
    "enforce_eager": True,
    "enable_chunked_prefill": False,
    "max_num_seqs": 4,
    "max_num_batched_tokens": 512,
    "max_model_len": 256,
    "tensor_parallel_size": 2,
    "pipeline_parallel_size": 3,
    "enable_prefix_caching": False,
    "quantization": "awq",
    "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
    "disable_custom_all_reduce": True,
    "kv_cache_memory_bytes": 1 << 30,
    "compilation_config": {"mode": 0},
    "attention": {"backend": "FLASH_ATTN"},
}


def test_claim_9_1_every_engine_key_reaches_the_engines_arguments(known: KnownNames) -> None:
    assert ENGINE_VALUES.keys() == VllmEngineConfig.model_fields.keys()
    arguments = engine_arguments(experiment(vllm={"engine": ENGINE_VALUES}), "/m", None, known)
    for name, value in ENGINE_VALUES.items():
        assert arguments["attention_config" if name == "attention" else name] == value


def test_claim_9_1_keys_that_are_not_set_keep_the_engines_own_defaults(known: KnownNames) -> None:
    assert engine_arguments(experiment(precision="fp16", random_seed=7), "/m", None, known) == {
        "model": "/m",
        "trust_remote_code": False,
        "dtype": "float16",
        "seed": 7,
        "generation_config": "vllm",
        "disable_log_stats": False,
        "worker_extension_cls": "llem_runner.backends.vllm.worker.Extension",
    }


def test_claim_9_8_dummy_weights_revision_and_lora_reach_the_engine(known: KnownNames) -> None:
    arguments = engine_arguments(experiment(weights="dummy", revision="v1"), "m", 12, known)
    assert arguments["load_format"] == "dummy"
    assert arguments["revision"] == arguments["tokenizer_revision"] == "v1"
    assert (arguments["enable_lora"], arguments["max_lora_rank"]) == (True, 16)


def test_claim_9_1_every_sampling_key_reaches_sampling_params() -> None:
    import vllm

    keys = {"max_tokens": 9, "min_tokens": 3, "presence_penalty": 0.5, "frequency_penalty": -0.5, "n": 2}
    assert keys.keys() == VllmSamplingConfig.model_fields.keys()
    decoder = {"do_sample": True, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.1, "min_new_tokens": 3}
    config = experiment(max_output_tokens=9, decoder=decoder, vllm={"sampling": keys})
    params = vllm.SamplingParams(**sampling_arguments(config, STOPS, {}))
    for name, value in keys.items():
        assert getattr(params, name) == value
    assert (params.temperature, params.top_k, params.top_p, params.min_p) == (0.7, 5, 0.9, 0.1)
    assert params.stop_token_ids == list(STOPS)


def test_claim_9_1_without_sampling_the_most_likely_token_is_taken_whatever_the_other_keys_say() -> None:
    arguments = sampling_arguments(experiment(decoder={"top_p": 0.5, "temperature": 1.5}), STOPS, {})
    assert arguments["temperature"] == 0.0
    assert "top_p" not in arguments


def test_claim_9_4_with_fixed_length_no_stop_token_ends_a_request_and_none_is_forbidden() -> None:
    config = experiment(output_length="fixed", max_output_tokens=5, decoder={"min_new_tokens": 5})
    arguments = sampling_arguments(config, STOPS, {})
    assert (arguments["ignore_eos"], arguments["max_tokens"]) == (True, 5)
    assert "stop_token_ids" not in arguments
    assert "min_tokens" not in arguments


def test_claim_9_1_beam_search_keys_reach_its_own_call() -> None:
    from vllm.sampling_params import BeamSearchParams

    names = BeamSearchParams.__struct_fields__
    config = experiment(max_output_tokens=6, vllm={"beam_search": {"beam_width": 3, "length_penalty": 0.8}})
    arguments = beam_arguments(config, names, "0")
    assert arguments is not None
    params = BeamSearchParams(**arguments)
    assert (params.beam_width, params.length_penalty, params.max_tokens) == (3, 0.8, 6)
    assert beam_arguments(experiment(), names, "0") is None
    assert "beam_width" in str(
        failure(lambda: beam_arguments(experiment(vllm={"beam_search": {"length_penalty": 1}}), names, "0"))
    )


def test_claim_9_1_passthrough_goes_to_the_engine_or_to_sampling_by_vllms_own_names(known: KnownNames) -> None:
    config = experiment(passthrough_kwargs={"async_scheduling": False, "logit_bias": {"3": 1.0}})
    sorted_kwargs = sort_passthrough(config, known)
    assert sorted_kwargs.engine == {"async_scheduling": False}
    assert sorted_kwargs.sampling == {"logit_bias": {"3": 1.0}}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_such_thing", "is no argument of vLLM"),
        ("temperature", "decoder.temperature"),
        ("max_model_len", "vllm.engine.max_model_len"),
        ("attention_config", "vllm.engine.attention"),
        ("generation_config", "set by the backend itself"),
        ("seed", "random_seed"),
    ],
)
def test_claim_9_1_a_passthrough_that_nobody_takes_or_that_has_a_key_is_refused(
    known: KnownNames, name: str, says: str
) -> None:
    error = failure(lambda: engine_arguments(experiment(passthrough_kwargs={name: 1}), "m", None, known))
    assert error.kind is FailureKind.BACKEND
    assert f"passthrough_kwargs.{name}" in str(error)
    assert says in str(error)


@pytest.mark.parametrize(
    "engine", [{"compilation_config": {"no_such": 1}}, {"attention": {"no_such": 1}}], ids=["compilation", "attention"]
)
def test_claim_9_2_a_key_inside_a_mapping_that_this_version_lacks_is_told_with_the_version(
    known: KnownNames, engine: dict[str, Any]
) -> None:
    error = failure(lambda: engine_arguments(experiment(vllm={"engine": engine}), "m", None, known))
    assert error.kind is FailureKind.BACKEND
    assert f"vLLM {known.version} has no " in str(error)
    assert ".no_such" in str(error)


def test_claim_9_2_an_engine_argument_that_this_version_lacks_is_told_with_the_version(known: KnownNames) -> None:
    older = KnownNames("0.1", frozenset(known.engine) - {"kv_cache_memory_bytes"}, known.sampling)
    config = experiment(vllm={"engine": {"kv_cache_memory_bytes": 1}})
    assert "vLLM 0.1 has no engine argument kv_cache_memory_bytes" in str(
        failure(lambda: engine_arguments(config, "m", None, older))
    )


def test_claim_9_2_every_key_of_the_vllm_section_is_one_of_the_installed_vllm(known: KnownNames) -> None:
    from vllm.sampling_params import BeamSearchParams

    engine = {"attention_config" if name == "attention" else name for name in VllmEngineConfig.model_fields}
    assert engine <= set(known.engine)
    assert VllmSamplingConfig.model_fields.keys() <= set(known.sampling)
    lacking = VllmBeamSearchConfig.model_fields.keys() - set(BeamSearchParams.__struct_fields__)
    assert lacking == NOT_OF_VLLM
    config = experiment(vllm={"beam_search": {"beam_width": 2, "early_stopping": True}})
    error = failure(lambda: beam_arguments(config, BeamSearchParams.__struct_fields__, known.version))
    assert f"vLLM {known.version} has no beam_search.early_stopping" in str(error)


def test_claim_9_2_every_key_of_the_pytorch_section_is_one_of_the_installed_engines() -> None:
    import torch
    from transformers import BitsAndBytesConfig, GenerationConfig

    takers = {
        "torch.compile": {f"torch_compile_{name}" for name in inspect.signature(torch.compile).parameters},
        "BitsAndBytesConfig": set(inspect.signature(BitsAndBytesConfig).parameters),
        # Documented parameters that its signature hides behind `**kwargs`.
        "from_pretrained": {"attn_implementation", "device_map", "max_memory"},
        "ours": {"batch_size", "batch_order", "num_processes", "torch_compile"},
    }
    generation = set(vars(GenerationConfig()))
    for name in PytorchConfig.model_fields:
        assert name in takers.get(NOT_OF_GENERATION.get(name, ""), generation), name
