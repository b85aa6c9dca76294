"""Claim 10 of issue 5: the JSON Schema of the study file is made from the models, published, and holds the examples."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import llem.study
from llem.study.json_schema import PUBLISHED, study_schema
from llem.study.nodes import compose
from llem.study.problems import Problems

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("*.yaml"))

GOOD = [
    "model: x\n",
    "model: x\nbackend: [pytorch, vllm]\nn: 5\ndecoder: {top_p: 0.5, preset: null}\ndataset: {input_len: 1, output_len: 2}\n",
    "model: x\nexecution: {parallel: off, gate: off, gpus: [0, GPU-1], n_cycles: 3}\nimages: {pytorch: {image: a}, vllm: b}\n",
    "base: x.yaml\nsweep: {n: [1, 2], decoder.top_p: {min: 0.1, max: 1, num: 3}, n2: [{n: 3, vllm: {engine: {block_size: [8]}}}]}\n",
    "model: x\nsweep: {vllm.engine.block_size: {pow2: {min: 1, max: 8}}, passthrough_kwargs.a.b: [[1, 2]], lora: [null]}\n",
    "model: x\nexperiments: {}\nsweep:\n",
    "model: x\npytorch: {early_stopping: never, device_map: auto, max_memory: {0: 1GiB}}\nexperiments: [{n: 1}]\n",
]  # fmt: skip
BAD = [
    "n: '5'",
    "n: 0",
    "modl: x",
    "decoder: {top_p: 2}",
    "decoder: {topp: 1}",
    "sweep: {precision: [bf61]}",
    "sweep: {n: {min: 1, max: 2}}",
    "sweep: {n: []}",
    "sweep: {g: [1]}",
    "backend: []",
    "experiments: [{execution: {}}]",
    "execution: {n_cycles: 0}",
    "execution: {gpus: []}",
    "runners: {pytorch: 5}",
    "traffic: {}",
]


def errors(text: str) -> list[str]:
    root = compose(text, "s.yaml", Problems())
    assert root is not None
    checker = jsonschema.Draft202012Validator(study_schema())
    return [error.message for error in checker.iter_errors(root.plain())]


def test_claim_5_10_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(study_schema())


def test_claim_5_10_the_published_schema_is_the_one_that_the_models_give() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert published == study_schema(), f"write it anew: python {Path(__file__).name} --write"
    assert Path(llem.study.__file__).parent in PUBLISHED.parents


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_claim_5_10_every_example_is_held_against_the_schema(path: Path) -> None:
    assert errors(path.read_text(encoding="utf-8")) == []
    llem.study.make_plan(llem.study.load_study(path))


@pytest.mark.parametrize("text", GOOD)
def test_claim_5_10_what_the_grammar_allows_the_schema_allows(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize("text", BAD)
def test_claim_5_10_what_the_grammar_refuses_key_by_key_the_schema_refuses(text: str) -> None:
    assert errors(text) != []


def _descriptions(schema: Any) -> int:
    if isinstance(schema, dict):
        return ("default" in schema) + sum(_descriptions(value) for value in schema.values())
    return sum(_descriptions(item) for item in schema) if isinstance(schema, list) else 0


def test_claim_5_10_the_schema_tells_an_editor_the_defaults() -> None:
    experiment = study_schema()["$defs"]["experiment"]["properties"]
    assert experiment["n"]["default"] == 100
    assert experiment["precision"]["anyOf"][0]["enum"] == ["fp32", "fp16", "bf16"]
    assert _descriptions(study_schema()) > 30


if __name__ == "__main__" and "--write" in sys.argv:
    PUBLISHED.write_text(json.dumps(study_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
