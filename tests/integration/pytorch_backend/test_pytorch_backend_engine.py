"""What the engine can be asked for: caches, beams, prompt lookup, compilation, LoRA, dummy weights, passthrough."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_model import Load, answers, no_sign, prompts_of

LENGTHS = (5, 20, 9)


def greedy(load: Load, **keys: Any) -> list[tuple[int, ...]]:
    backend = load(**keys)
    return answers(backend.generate(prompts_of(backend, *LENGTHS), no_sign))


@pytest.fixture(scope="module")
def plain(load: Load) -> list[tuple[int, ...]]:
    """The greedy answers of the plainest configuration."""
    return greedy(load)


@pytest.mark.parametrize(
    "section",
    [
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"attn_implementation": "eager"},
        {"torch_compile": True, "torch_compile_backend": "eager"},
        {"torch_compile": True, "torch_compile_backend": "eager", "cache_implementation": "static"},
    ],
    ids=["no-cache", "static-cache", "eager-attention", "compiled", "compiled-static-cache"],
)
def test_claim_9_ways_to_compute_that_must_not_change_greedy_answers(
    load: Load, plain: list[tuple[int, ...]], section: dict[str, Any]
) -> None:
    assert greedy(load, pytorch={"batch_size": 2, **section}) == plain


@pytest.mark.filterwarnings("ignore::UserWarning:torch.*", "ignore::FutureWarning:torch.*")
def test_claim_9_torch_compile_compiles(load: Load) -> None:
    import torch

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    backend = load(pytorch={"batch_size": 3, "torch_compile": True, "torch_compile_backend": "eager"})
    assert backend.compiled_graphs() == 0
    backend.generate(prompts_of(backend, *LENGTHS), no_sign)
    assert (backend.compiled_graphs() or 0) > 0


def test_claim_9_a_static_cache_alone_compiles_nothing(load: Load) -> None:
    # transformers would compile by itself on a GPU.
    settings = load(pytorch={"cache_implementation": "static"})._loaded.generator.generation_config()
    assert settings.disable_compile is True


def test_claim_9_a_static_cache_is_sized_for_the_longest_prompt_of_the_run(load: Load) -> None:
    backend = load(pytorch={"cache_implementation": "static"})
    long_prompt = "The river and its bridges. " * 5
    [ids] = backend.encode([long_prompt])
    short = prompts_of(backend, 5)
    backend.generate(short, no_sign)
    assert backend._loaded.generator.model._previous_max_cache_length == len(ids) + 10


@pytest.mark.parametrize("batch_size", [1, 2])
def test_claim_10_beam_search_counts_the_answer_it_returns(load: Load, batch_size: int) -> None:
    backend = load(pytorch={"num_beams": 3, "batch_size": batch_size}, output_length="fixed")
    seen: list[int] = []
    outputs = backend.generate(prompts_of(backend, 5, 20), seen.append)
    assert [len(output.token_ids) for output in outputs] == [10, 10]
    assert sum(seen) == 20
    assert [output.first_token_s for output in outputs] == [None, None], "a beam's tokens are settled at the end"
    assert all(output.started_s < output.finished_s and not output.token_times_s for output in outputs)


def test_claim_10_prompt_lookup_gives_the_same_answers_and_no_times_for_tokens_that_came_together(
    load: Load, plain: list[tuple[int, ...]]
) -> None:
    backend = load(pytorch={"prompt_lookup_num_tokens": 4})
    seen: list[int] = []
    outputs = backend.generate(prompts_of(backend, *LENGTHS), seen.append)
    assert answers(outputs) == plain
    assert sum(seen) == sum(len(answer) for answer in plain)
    assert max(seen) > 1, "these repetitive answers were guessed right"
    assert all(output.first_token_s is not None for output in outputs)
    assert () in [output.token_times_s for output in outputs]


def test_claim_9_precision_and_attention_are_what_was_asked(load: Load) -> None:
    backend = load(precision="bf16", pytorch={"attn_implementation": "eager"})
    effective = backend.facts().effective
    assert (effective["dtype"], effective["attn_implementation"]) == ("bfloat16", "eager")
    bf16_bytes = backend.facts().model_bytes
    assert 1.9 < load(precision="fp32").facts().model_bytes / bf16_bytes < 2.1


def test_claim_9_facts_name_the_model_and_the_packages(load: Load) -> None:
    facts = load().facts()
    assert (facts.name, facts.device_used) == ("pytorch", "cpu")
    assert facts.parameters == 1_737_984
    assert {"torch", "transformers"} <= facts.packages.keys()
    assert facts.notes["architecture"]["num_hidden_layers"] == 2


def test_requests_beyond_the_models_context_are_warned_about(load: Load) -> None:
    backend = load(max_output_tokens=4096)
    assert [code for code, _ in backend.facts().warnings] == ["context_exceeded"]
    assert load(max_output_tokens=4095).facts().warnings == ()


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random LoRA adapter for the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    target = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=64, target_modules=target, init_lora_weights=False, task_type="CAUSAL_LM")
    saved = tmp_path_factory.mktemp("adapter")
    get_peft_model(model, config).save_pretrained(saved)
    return saved


def test_claim_9_a_lora_adapter_changes_the_answers_and_merging_it_does_not(
    load: Load, adapter: Path, plain: list[tuple[int, ...]]
) -> None:
    def adapted(merge: bool) -> list[tuple[int, ...]]:
        return greedy(load, adapter=adapter, lora={"adapter_path": str(adapter), "merge_weights": merge})

    separate = adapted(merge=False)
    assert separate != plain
    assert adapted(merge=True) == separate


def test_claim_8_5_the_matrices_of_an_adapter_take_part_until_they_are_merged(load: Load, adapter: Path) -> None:
    beside = load(adapter=adapter, lora={"adapter_path": str(adapter)}).facts()
    assert beside.arithmetic is not None
    assert beside.parameters is not None
    plain = load().facts()
    assert beside.arithmetic.adapter_elements == beside.parameters - (plain.parameters or 0) > 0
    merged = load(adapter=adapter, lora={"adapter_path": str(adapter), "merge_weights": True}).facts()
    assert merged.arithmetic is not None
    assert (merged.arithmetic.adapter_elements, merged.parameters) == (0, plain.parameters)
    assert beside.model is not None
    assert "adapter_config.json" in {file["name"] for file in beside.model["adapter"]["files"]}


def test_claim_8_5_what_generation_does_is_told_to_the_count(load: Load) -> None:
    told = load(pytorch={"num_beams": 3, "use_cache": False}).facts().arithmetic
    assert told is not None
    assert (told.beams, told.kv_cache, told.logits_of_all_inputs, told.unclear) == (3, False, False, None)


def test_claim_9_a_lora_adapter_computes_in_the_models_precision(load: Load, adapter: Path) -> None:
    backend = load(adapter=adapter, precision="bf16", lora={"adapter_path": str(adapter)})
    dtypes = {str(parameter.dtype) for parameter in backend._loaded.generator.model.parameters()}
    assert dtypes == {"torch.bfloat16"}
    merged = load(adapter=adapter, lora={"adapter_path": str(adapter), "merge_weights": True}).facts()
    assert merged.parameters == load().facts().parameters
    assert backend is not None


@pytest.fixture
def without_weights(folder: Path, tmp_path: Path) -> Path:
    """The tiny model's configuration and tokenizer alone."""
    return Path(shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors")))


def test_claim_9_dummy_weights_need_no_weight_files_and_come_from_the_seed(
    load: Load, without_weights: Path, plain: list[tuple[int, ...]]
) -> None:
    first = greedy(load, model=without_weights, weights="dummy", random_seed=1)
    assert [len(answer) for answer in first] == [10, 10, 10]
    assert greedy(load, model=without_weights, weights="dummy", random_seed=1) == first
    assert greedy(load, model=without_weights, weights="dummy", random_seed=2) != first
    assert first != plain


def test_claim_9_dummy_weights_are_of_the_asked_precision_and_ready_to_answer(
    load: Load, without_weights: Path
) -> None:
    backend = load(model=without_weights, weights="dummy", precision="bf16")
    assert backend.facts().effective["dtype"] == "bfloat16"
    assert backend.facts().parameters == 1_737_984
    assert backend._loaded.generator.model.training is False


def test_claim_9_passthrough_reaches_generation_loading_and_the_configuration(
    load: Load, folder: Path, without_weights: Path
) -> None:
    backend = load(passthrough_kwargs={"suppress_tokens": list(range(200))})
    [output] = backend.generate(prompts_of(backend, 5), no_sign)
    assert min(output.token_ids) >= 200
    deeper = load(model=without_weights, weights="dummy", passthrough_kwargs={"num_hidden_layers": 3})
    assert deeper.facts().notes["architecture"]["num_hidden_layers"] == 3
    renamed = folder.parent / "tiny-variant"
    if not renamed.exists():
        shutil.copytree(folder, renamed)
        (renamed / "model.safetensors").rename(renamed / "model.fp8.safetensors")
    assert load(model=renamed, passthrough_kwargs={"variant": "fp8"}).facts().parameters == 1_737_984
