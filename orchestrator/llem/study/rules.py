"""Skip rules: combinations of keys that no engine runs, or that contradict each other. One line a rule.

A rule sees the values at its paths, defaults filled in and presets resolved; a path with `!` gives only what is
written, else None. A rule that reads a backend's section concerns that backend's experiments only.
"""

# ruff: noqa: E501 (one line a rule)

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llem.study.keys import BACKENDS, Found, Leaf, Path, find
from llem.study.merge import value_at

WRITTEN_ONLY: Final = "!"


@dataclass(frozen=True, slots=True)
class Rule:
    """A combination that is skipped: where `breaks` is true of the values at `reads`. `reason` may show them."""

    name: str
    reads: tuple[str, ...]
    breaks: Callable[..., Any]
    reason: str


_4BIT, _8BIT = "pytorch.load_in_4bit", "pytorch.load_in_8bit"
_BNB = ("pytorch.bnb_4bit_compute_dtype", "pytorch.bnb_4bit_quant_type", "pytorch.bnb_4bit_use_double_quant")
_SYNTHETIC_IN, _SYNTHETIC_OUT = "dataset.input_len", "dataset.output_len"
_LIMITS = (_SYNTHETIC_IN, _SYNTHETIC_OUT, "max_input_tokens", "max_output_tokens")
_OUT = (_SYNTHETIC_OUT, "max_output_tokens")
_LORA = ("lora.adapter_id", "lora.adapter_path", "lora.merge_weights")
_ATTENTION, _LOOKUP = "pytorch.attn_implementation", "pytorch.prompt_lookup_num_tokens"


def _says_anything(section: dict[str, Any] | None) -> bool:
    return section is not None and any(value is not None for value in section.values())


def _flash(attention: str | None) -> bool:
    return attention is not None and attention.startswith("flash_attention")


# One line a rule, so that the table can be read down.
# fmt: off
RULES: Final = (
    Rule("4bit_with_8bit", (_4BIT, _8BIT), lambda four, eight: four and eight, "load_in_4bit and load_in_8bit exclude each other"),
    Rule("bnb_without_4bit", (*_BNB, _4BIT), lambda a, b, c, four: (a, b, c) != (None,) * 3 and not four, "bnb_4bit_… keys need load_in_4bit"),
    Rule("quantisation_on_cpu", (_4BIT, _8BIT, "device"), lambda four, eight, device: (four or eight) and device == "cpu", "bitsandbytes quantisation needs a GPU, device is cpu"),
    Rule("vllm_quantisation_on_cpu", ("vllm.engine.quantization", "device"), lambda quantization, device: quantization and device == "cpu", "quantization {0} needs a GPU, device is cpu"),
    Rule("compile_mode_without_compile", ("pytorch.torch_compile_mode", "pytorch.torch_compile"), lambda mode, on: mode and not on, "torch_compile_mode {0} needs torch_compile: true"),
    Rule("compile_backend_without_compile", ("pytorch.torch_compile_backend", "pytorch.torch_compile"), lambda backend, on: backend and not on, "torch_compile_backend {0} needs torch_compile: true"),
    Rule("flash_attention_in_fp32", (_ATTENTION, "precision"), lambda attention, precision: _flash(attention) and precision == "fp32", "{0} computes in fp16 or bf16, precision is fp32"),
    Rule("flash_attention_on_cpu", (_ATTENTION, "device"), lambda attention, device: _flash(attention) and device == "cpu", "{0} needs a GPU, device is cpu"),
    Rule("beams_with_sampling", ("pytorch.num_beams", "decoder.do_sample"), lambda beams, sample: beams > 1 and sample, "beam search (num_beams {0}) does not sample"),
    Rule("beam_search_with_sampling", ("vllm.beam_search", "decoder.do_sample"), lambda search, sample: _says_anything(search) and sample, "beam search does not sample"),
    Rule("static_cache_with_beams", ("pytorch.cache_implementation", "pytorch.num_beams"), lambda cache, beams: cache in ("static", "offloaded_static") and beams > 1, "a {0} cache cannot follow {1} beams"),
    Rule("cache_without_use_cache", ("pytorch.cache_implementation", "pytorch.use_cache"), lambda cache, use: cache and not use, "cache_implementation {0} needs use_cache: true"),
    Rule("lookup_with_beams", (_LOOKUP, "pytorch.num_beams"), lambda lookup, beams: lookup and beams > 1, "prompt lookup does not work with {1} beams"),
    Rule("lookup_with_batch", (_LOOKUP, "pytorch.batch_size"), lambda lookup, batch: lookup and batch > 1, "prompt lookup works one prompt at a time, batch_size is {1}"),
    Rule("lookup_with_static_cache", (_LOOKUP, "pytorch.cache_implementation"), lambda lookup, cache: lookup and cache in ("static", "offloaded_static"), "prompt lookup does not work with a {1} cache"),
    Rule("lookup_without_cache", (_LOOKUP, "pytorch.use_cache"), lambda lookup, use: lookup and not use, "prompt lookup needs use_cache: true"),
    Rule("model_length_too_short", ("vllm.engine.max_model_len", *_LIMITS), lambda length, si, so, i, o: length and length < (si or i) + (so or o), "max_model_len {0} is less than the tokens asked for (input and output limits together)"),
    Rule("min_new_tokens_above_limit", ("decoder.min_new_tokens", *_OUT), lambda least, so, o: least and least > (so or o), "min_new_tokens {0} is above the output limit"),
    Rule("synthetic_input_above_limit", (_SYNTHETIC_IN, "!max_input_tokens"), lambda length, limit: length and limit and length > limit, "input_len {0} is above max_input_tokens {1}"),
    Rule("synthetic_output_not_limit", (_SYNTHETIC_OUT, "!max_output_tokens"), lambda length, limit: length and limit and length != limit, "output_len {0} is not max_output_tokens {1}"),
    Rule("sampling_max_tokens_differ", ("vllm.sampling.max_tokens", *_OUT), lambda most, so, o: most and most != (so or o), "vllm.sampling.max_tokens {0} is not the output limit (max_output_tokens {2})"),
    Rule("beam_max_tokens_differ", ("vllm.beam_search.max_tokens", *_OUT), lambda most, so, o: most and most != (so or o), "vllm.beam_search.max_tokens {0} is not the output limit (max_output_tokens {2})"),
    Rule("min_tokens_differ", ("vllm.sampling.min_tokens", "decoder.min_new_tokens"), lambda least, shared: least is not None and least != (shared or 0), "vllm.sampling.min_tokens {0} is not decoder.min_new_tokens {1}"),
    Rule("sampling_at_zero_temperature", ("decoder.do_sample", "decoder.temperature"), lambda sample, temperature: sample and temperature == 0, "sampling needs a temperature above 0"),
    Rule("greedy_samples_alike", ("vllm.sampling.n", "decoder.do_sample"), lambda n, sample: n and n > 1 and not sample, "vllm.sampling.n {0} without sampling would give one answer {0} times"),
    Rule("warmup_limits_crossed", ("warmup.min_iterations", "warmup.max_iterations"), lambda least, most: least > most, "warmup.min_iterations {0} is above max_iterations {1}"),
    Rule("lora_with_dummy_weights", (*_LORA, "weights"), lambda hub, path, _, weights: (hub or path) and weights == "dummy", "an adapter on dummy weights means nothing"),
    Rule("lora_one_source", _LORA, lambda hub, path, merge: (hub or path or merge) and (hub is None) == (path is None), "lora needs exactly one of adapter_id and adapter_path"),
)
# fmt: on


@dataclass(frozen=True, slots=True, eq=False)
class BoundRule:
    """A rule with its paths looked up: (path, default) of each value that it reads."""

    rule: Rule
    reads: tuple[tuple[Path, Any], ...]
    backend: str | None

    def values(self, written: Mapping[str, Any]) -> list[Any]:
        """The values that the rule reads of an experiment."""
        values = []
        for path, default in self.reads:
            value = value_at(written, path)
            values.append(default if value is None else value)
        return values

    def broken_by(self, written: Mapping[str, Any]) -> bool:
        """Whether an experiment breaks the rule."""
        return bool(self.rule.breaks(*self.values(written)))

    @property
    def shows_values(self) -> bool:
        """Whether the reason depends on the experiment."""
        return "{" in self.rule.reason

    def reason(self, written: Mapping[str, Any]) -> str:
        """Why the experiment is skipped."""
        return self.rule.reason.format(*self.values(written))

    def may_vary_with(self, paths: Collection[Path]) -> bool:
        """Whether one of these paths can change what the rule sees."""
        return any(path[: len(read)] == read[: len(path)] for path in paths for read, _ in self.reads)


def bind(rule: Rule) -> BoundRule:
    """Look a rule's paths up among the keys."""
    reads = []
    for dotted in rule.reads:
        path = tuple(dotted.removeprefix(WRITTEN_ONLY).split("."))
        default = None if dotted.startswith(WRITTEN_ONLY) else default_at(path)
        reads.append((path, default))
    backends = {path[0] for path, _ in reads if path[0] in BACKENDS}
    return BoundRule(rule, tuple(reads), next(iter(backends), None))


def default_at(path: Path) -> Any:
    """The default of the key at a path; None inside a mapping with any keys, and of sections."""
    key = find(path)
    if key is None:
        raise KeyError(".".join(path))
    return _default(key)


def _default(key: Found) -> Any:
    return key.key.default if isinstance(key.key, Leaf) and not key.inside else None


BOUND_RULES: Final = tuple(bind(rule) for rule in RULES)
