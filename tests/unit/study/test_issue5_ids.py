"""Claim 6 of issue 5: ids are equal for equal experiments however they are written, and never change by accident."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from llem.study import Plan, make_plan, parse_study
from llem_runner.contract import ExperimentConfig

GOLDEN = Path(__file__).parents[2] / "data" / "golden_ids.json"

STUDIES = {
    "one": "model: builtin:tiny-llama\n",
    "defaults written out": "model: builtin:tiny-llama\nn: 100\nbackend: pytorch\npytorch: {batch_size: 1}\n",
    "sections": "model: a/b\ndecoder: {do_sample: true, temperature: 0.7, top_k: 50}\nwarmup: {enabled: false}\n",
    "axes": "model: a/b\nsweep: {precision: [fp32, bf16], decoder.temperature: [0.0, 1.0], pytorch.batch_size: [1, 8]}\n",
    "presets": "model: a/b\nsweep: {decoder.preset: [deterministic, standard, creative, factual]}\n",
    "backends": "model: a/b\nbackend: [pytorch, vllm]\nsweep: {vllm.engine.block_size: {pow2: {min: 8, max: 32}}}\n",
    "lists and mappings": "model: a/b\nsweep: {g: [{passthrough_kwargs: {a: [1, 2.0, null], é: {b: true}}}, {}]}\n",
    "synthetic": "model: ./m\ndataset: {input_len: 128, output_len: 64}\nexperiments: [{n: 3}, {lora: {adapter_path: x}}]\n",
    "ranges": "model: a/b\nsweep: {decoder.top_p: {log: {min: 0.001, max: 1, num: 7}}}\n",
}  # fmt: skip


def plan_of(text: str) -> Plan:
    return make_plan(parse_study(text, source="s.yaml"))


def ids_of(text: str) -> list[str]:
    return list(plan_of(text).experiments)


def hashes() -> dict[str, dict[str, Any]]:
    plans = {name: plan_of(text) for name, text in STUDIES.items()}
    return {n: {"study_design_hash": p.design_hash, "experiment_ids": list(p.experiments)} for n, p in plans.items()}


def straight(config: ExperimentConfig) -> str:
    """The id by the words of the design alone: what is not default, canonical JSON, SHA-256, 12 digits."""

    def tidy(value: Any) -> Any:
        if isinstance(value, float) and value == int(value):
            return int(value)
        if isinstance(value, dict):
            return {key: tidy(item) for key, item in value.items()}
        return [tidy(item) for item in value] if isinstance(value, list) else value

    def without_defaults(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
        kept = {}
        for key, value in values.items():
            default = defaults.get(key)
            if isinstance(value, dict) and isinstance(default, dict):
                value = without_defaults(value, default) if default else value
                if value:
                    kept[key] = value
            elif value != default:
                kept[key] = value
        return kept

    blank = ExperimentConfig.model_validate({"model": "x", "backend": config.backend}).model_dump(mode="json")
    blank |= {"model": None, "backend": "pytorch"}
    values = without_defaults(config.model_dump(mode="json"), blank)
    if "lora" in values:
        values["lora"] = {key: value for key, value in values["lora"].items() if value not in (None, False)}
    text = json.dumps(tidy({"id_version": 1, **values}), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_claim_5_6_the_golden_ids_have_not_changed() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert hashes() == golden, (
        "Ids have changed: results of earlier studies could no longer be compared. If that is meant, raise "
        f"ID_VERSION and write the file anew: python {Path(__file__).name} --write"
    )


@pytest.mark.parametrize("name", STUDIES)
def test_claim_5_6_ids_agree_with_a_straight_computation_of_the_formula(name: str) -> None:
    plan = plan_of(STUDIES[name])
    assert [straight(config) for config in plan.experiments.values()] == list(plan.experiments)
    listed = json.dumps(list(plan.experiments), separators=(",", ":"))
    assert plan.design_hash == hashlib.sha256(listed.encode()).hexdigest()[:12]


def test_claim_5_6_a_hand_computed_id() -> None:
    text = '{"id_version":1,"model":"builtin:tiny-llama","n":7}'
    assert ids_of("model: builtin:tiny-llama\nn: 7\n") == [hashlib.sha256(text.encode()).hexdigest()[:12]]


SAME = [
    "model: a/b\nn: 7\ndecoder: {temperature: 1}\n",
    "n: 7.0\nmodel: a/b\ndecoder: {temperature: 1.0, top_k: null}\n",
    "model: a/b\nn: 7\nbackend: pytorch\npytorch: {}\nlora: null\nvllm: {engine: {block_size: 8}}\n",
    "model: a/b\nn: 7\ndecoder: {preset: deterministic}\nwarmup: {thermal_floor_seconds: 60}\n",
    "model: a/b\nsweep: {n: 7}\n",
    "model: a/b\nsweep: {g: [{n: 7}]}\n",
    "model: z\nexperiments: [{model: a/b, n: 7}]\nexecution: {n_cycles: 4, cycle_order: reverse}\nname: other\n",
    "random_seed: 42\nmodel: a/b\nn: 7\nbackend: [pytorch]\noutput: {folder: y}\n",
]


def test_claim_5_6_equal_experiments_have_equal_ids_however_they_are_written() -> None:
    assert len({tuple(ids_of(text)) for text in SAME}) == 1
    assert len({plan_of(text).design_hash for text in SAME}) == 1


def test_claim_5_6_a_preset_is_the_same_as_what_it_stands_for() -> None:
    preset = "model: a/b\ndecoder: {preset: creative, top_p: 0.5}\n"
    plain = "model: a/b\ndecoder: {do_sample: true, temperature: 0.8, top_p: 0.5, repetition_penalty: 1.1}\n"
    assert ids_of(preset) == ids_of(plain)
    kept = "model: a/b\ndecoder: {preset: creative, temperature: 1.0}\n"  # a written default wins over the preset
    assert plan_of(kept).experiments[ids_of(kept)[0]].decoder.temperature == 1.0


def test_claim_5_6_different_experiments_have_different_ids_and_order_counts_in_the_design() -> None:
    plans = [plan_of(f"model: a/b\nsweep: {{n: {order}}}\n") for order in ("[1, 2]", "[2, 1]")]
    assert set(plans[0].experiments) == set(plans[1].experiments)
    assert plans[0].design_hash != plans[1].design_hash


def test_claim_5_6_skipped_experiments_are_left_out_of_the_design_hash() -> None:
    skipping = plan_of("model: a/b\nsweep: {pytorch.torch_compile_mode: [null, default]}\n")
    assert (len(skipping.skipped), skipping.design_hash) == (1, plan_of("model: a/b\n").design_hash)


if __name__ == "__main__" and "--write" in sys.argv:
    GOLDEN.write_text(json.dumps(hashes(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
