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
    "base: x.yaml\nsweep: {n: [1, 2], decoder.top_p: {min: 0.1, max: 1, num: 3}, n2: [{random_seed: 3, vllm: {engine: {block_size: [8]}}}]}\n",
    "model: x\nbackend: vllm\nsweep: {vllm.engine.block_size: {pow2: {min: 1, max: 8}}, passthrough_kwargs.a.b: [[1, 2]], lora: [null]}\n",
    "model: x\nexperiments: {}\nsweep:\n",
    "model: x\nsweep: {g: [{dataset: {input_len: [3, 4], output_len: 3}}, {dataset: {input_len: {pow2: {min: 1, max: 4}}, output_len: 3}}]}\n",
    "model: x\nsweep: {g: [{dataset: [a.txt, {input_len: 1, output_len: 2}]}, {passthrough_kwargs: {a: {b: 1}}, lora: null}, {}]}\n",
    "model: x\nsweep: {g: [{decoder.top_p: {log: {min: 0.1, max: 1, num: 3}}, passthrough_kwargs.a: {c: 1}}], dataset: [builtin, a.txt]}\n",
    "model: x\nsweep: {pytorch.device_map: [auto, null], passthrough_kwargs.b: {min: 1, max: 2, num: 2}}\n",
    "model: x\ndocker: {shm_size: 1000000, memory_limit: 1.5 GiB}\nexecution: {gate: 'off'}\nrunners: {pytorch: 'docker:a/b:c'}\n",
    "model: x\nexecution: {gate: {band_c: 1, max_wait_seconds: 2}}\npytorch: {device_map: {'': cpu}}\n",
    "model: x\ndataset: {output_len: 3}\nsweep: {dataset.input_len: [1, 2]}\n",
    "model: builtin:tiny-llama\ndataset: {}\n",
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
    "sweep: {g: [{pytorch.batchsize: 1}]}",
    "sweep: {g: [{decoder: {topp: 1}}]}",
    "sweep: {g: [{dataset: {input_len: [x]}}]}",
    "sweep: {execution: [{n: 1}]}",
    "sweep: {execution.n_cycles: [1]}",
    "sweep: {decoder: {top_p: [1]}}",
    "sweep: {dataset: [{input_len: 1, output_len: 1}]}",
    "sweep: {n: [{min: 1, max: 2, num: 2}]}",
    "sweep: {precision: {min: 1, max: 2, num: 2}}",
    "sweep: {passthrough_kwargs..a: [1]}",
    "sweep: {passthrough_kwargs.a: [{b: 1}]}",
    "sweep: {model: [builtin:tiny]}",
    "dataset: {input_len: 5}",
    "dataset: {input_len: 5, output_len: null, x: 1}",
    "execution: {gate: {band_c: 3}}",
    "execution: {gate: {band_c: 3, max_wait_seconds: null}}",
    "execution: {gate: 'on'}",
    "docker: {shm_size: 8 gigs}",
    "docker: {shm_size: 0}",
    "runners: {pytorch: remote}",
    "runners: {pytorch: 'docker:'}",
    "experiments: [{model: builtin:tiny}]",
    "revision: ' '",
]
BAD_WHOLE = ["model: builtin:tiny\n", "model: ''\n", "model:\n", "n: 1\n"]


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
def test_claim_5_10_what_the_grammar_allows_the_schema_allows(text: str, tmp_path: Path) -> None:
    assert errors(text) == []
    (tmp_path / "x.yaml").write_text("model: x\nbackend: [pytorch, vllm]\n")
    llem.study.make_plan(llem.study.parse_study(text, source=tmp_path / "s.yaml"))


@pytest.mark.parametrize("text", [*(f"model: x\n{line}\n" for line in BAD), *BAD_WHOLE])
def test_claim_5_10_what_the_grammar_refuses_key_by_key_the_schema_refuses(text: str) -> None:
    assert errors(text) != []
    with pytest.raises(llem.study.StudyFileError):
        llem.study.parse_study(text, source="s.yaml")


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
