"""Claim 1 of issue 5 and claim 5 of issue 4: what a file expands to, in the order in which it is written."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llem.study import Plan, StudyFileError, load_study, make_plan, parse_study

M = "model: builtin:tiny-llama\n"


def plan_of(text: str) -> Plan:
    return make_plan(parse_study(M + text, source="s.yaml"))


def rows(text: str, *paths: str) -> list[tuple[Any, ...]]:
    """Values of each experiment at dotted paths, in the plan's order; an own section that is not there gives None."""
    found = []
    for config in plan_of(text).experiments.values():
        data = config.model_dump(mode="json")
        found.append(tuple(_at(data, path) for path in paths))
    return found


def _at(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def errors(text: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        plan_of(text)
    return [str(problem).removeprefix("s.yaml:") for problem in caught.value.problems]


def test_claim_5_axes_multiply_and_the_first_written_varies_slowest() -> None:
    text = "sweep: {n: [1, 2], decoder.top_p: [0.5, 1.0], pytorch.batch_size: [4]}\n"
    assert rows(text, "n", "decoder.top_p", "pytorch.batch_size") == [(1, 0.5, 4), (1, 1, 4), (2, 0.5, 4), (2, 1, 4)]
    turned = "sweep: {decoder.top_p: [0.5, 1.0], n: [1, 2]}\n"
    assert rows(turned, "n", "decoder.top_p") == [(1, 0.5), (2, 0.5), (1, 1), (2, 1)]


def test_claim_5_one_scalar_is_an_axis_of_one_value() -> None:
    assert rows("n: 3\nsweep: {n: 5}\n", "n") == [(5,)]


def test_claim_5_scoped_axes_of_several_backends_add_and_never_multiply() -> None:
    text = "backend: [vllm, pytorch]\nsweep: {pytorch.batch_size: [1, 2, 3], vllm.engine.max_num_seqs: [4, 5]}\n"
    assert rows(text, "backend", "pytorch.batch_size", "vllm.engine.max_num_seqs") == [
        ("vllm", None, 4),
        ("vllm", None, 5),
        ("pytorch", 1, None),
        ("pytorch", 2, None),
        ("pytorch", 3, None),
    ]


def test_claim_5_scoped_axes_vary_faster_than_shared_ones_wherever_they_are_written() -> None:
    text = "sweep: {pytorch.batch_size: [1, 2], n: [5, 6]}\n"
    assert rows(text, "n", "pytorch.batch_size") == [(5, 1), (5, 2), (6, 1), (6, 2)]


def test_claim_5_shared_sections_of_other_backends_are_dropped() -> None:
    (config,) = plan_of("vllm: {engine: {block_size: 16}}\npytorch: {batch_size: 2}\n").experiments.values()
    assert (config.vllm, config.pytorch and config.pytorch.batch_size) == (None, 2)


def test_claim_5_1_groups_vary_slower_than_axes_and_set_several_keys_together() -> None:
    text = "sweep:\n  n: [1, 2]\n  g:\n    - {}\n    - {precision: fp16, decoder.top_p: 0.5}\n"
    assert rows(text, "precision", "decoder.top_p", "n") == [
        ("bf16", 1, 1),
        ("bf16", 1, 2),
        ("fp16", 0.5, 1),
        ("fp16", 0.5, 2),
    ]


def test_claim_5_1_a_list_in_a_group_entry_is_a_mini_grid_first_written_slowest() -> None:
    text = "sweep: {g: [{n: [1, 2], precision: [fp16, fp32]}, {n: {min: 5, max: 6, num: 2}}]}\n"
    assert rows(text, "n", "precision") == [
        (1, "fp16"),
        (1, "fp32"),
        (2, "fp16"),
        (2, "fp32"),
        (5, "bf16"),
        (6, "bf16"),
    ]


def test_claim_5_1_a_mapping_in_a_group_entry_merges_deeply() -> None:
    text = "decoder: {top_p: 0.5}\nsweep: {g: [{decoder: {min_p: [0.1, 0.2]}}, {dataset: {input_len: [3, 4], output_len: 5}}]}\n"
    paths = ("decoder.top_p", "decoder.min_p", "dataset.input_len", "dataset.output_len")
    assert rows(text, *paths) == [
        (0.5, 0.1, None, None),
        (0.5, 0.2, None, None),
        (0.5, None, 3, 5),
        (0.5, None, 4, 5),
    ]


def test_claim_5_1_backend_paths_of_an_entry_are_left_out_for_other_backends() -> None:
    text = """
backend: [pytorch, vllm]
sweep:
  kv:
    - {}
    - {vllm.engine.kv_cache_dtype: fp8, vllm.engine.block_size: [16, 32]}
    - {n: 7, vllm.engine.block_size: 8, pytorch.batch_size: [2, 3]}
"""
    plan = plan_of(text)
    assert rows(text, "backend", "n", "vllm.engine.block_size", "pytorch.batch_size") == [
        ("pytorch", 100, None, 1),
        ("pytorch", 7, None, 2),
        ("pytorch", 7, None, 3),
        ("vllm", 100, None, None),
        ("vllm", 100, 16, None),
        ("vllm", 100, 32, None),
        ("vllm", 7, 8, None),
    ]
    # For pytorch the second entry is the baseline, once more: it is declared and merged.
    assert (plan.declared, len(plan.merged)) == (8, 1)


def test_claim_5_1_two_groups_multiply_in_the_order_written() -> None:
    text = "sweep: {b: [{n: 1}, {n: 2}], a: [{precision: fp16}, {precision: fp32}]}\n"
    assert rows(text, "n", "precision") == [(1, "fp16"), (1, "fp32"), (2, "fp16"), (2, "fp32")]


def test_claim_5_1_other_backends_grids_cost_a_backend_nothing() -> None:
    entry = "{vllm.engine.max_num_seqs: {min: 1, max: 1000, num: 1000}}"
    keys = [f"compilation_config.k{i}" for i in range(30)]
    groups = ", ".join(f"g{i}: [{entry.replace('max_num_seqs', key)}]" for i, key in enumerate(keys))
    plan = plan_of(f"sweep: {{{groups}, n: [1, 2]}}\nexperiments: [{{backend: vllm}}]\n")
    assert (plan.declared, len(plan.experiments)) == (3, 3)  # and not 1000 to the power of 30


def test_claim_5_1_a_literal_list_is_written_in_double_brackets() -> None:
    text = "sweep: {passthrough_kwargs.stop: [[0, 1], [2]], g: [{passthrough_kwargs.ids: [[5, 6]]}]}\n"
    values = [config.passthrough_kwargs for config in plan_of(text).experiments.values()]
    assert values == [{"stop": [0, 1], "ids": [5, 6]}, {"stop": [2], "ids": [5, 6]}]


def test_claim_5_1_paths_of_any_depth_lead_into_mappings_with_any_keys() -> None:
    text = "backend: vllm\nvllm: {engine: {compilation_config: {a: {b: {c: 1, d: 2}}}}}\n"
    text += "sweep: {vllm.engine.compilation_config.a.b.c: [3, 4]}\n"
    path = "vllm.engine.compilation_config"
    assert rows(text, path) == [({"a": {"b": {"c": 3, "d": 2}}},), ({"a": {"b": {"c": 4, "d": 2}}},)]


def test_claim_5_1_a_mapping_at_an_open_key_is_a_value_whole() -> None:
    text = "sweep: {g: [{pytorch.max_memory: {0: 1GiB, cpu: 2GiB}}, {passthrough_kwargs: {ids: [1, 2]}}]}\n"
    assert rows(text, "pytorch.max_memory", "passthrough_kwargs") == [
        ({"0": "1GiB", "cpu": "2GiB"}, {}),
        (None, {"ids": [1, 2]}),
    ]


RANGES = [
    ("n", "{min: 1, max: 9, num: 5}", [1, 3, 5, 7, 9]),
    ("n", "{pow2: {min: 1, max: 256}}", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
    ("n", "{pow2: {min: 3, max: 17}}", [4, 8, 16]),
    ("n", "{log: {min: 1, max: 1000, num: 4}}", [1, 10, 100, 1000]),
    ("decoder.temperature", "{min: 0.1, max: 0.5, num: 5}", [0.1, 0.2, 0.3, 0.4, 0.5]),
    ("decoder.temperature", "{min: 1, max: 2, num: 4}", [1, 1.333333333, 1.666666667, 2]),
    ("decoder.temperature", "{log: {min: 0.01, max: 1, num: 3}}", [0.01, 0.1, 1]),
    ("decoder.temperature", "{log: {min: 1, max: 2, num: 3}}", [1, 1.414213562, 2]),
    ("decoder.temperature", "{pow2: {min: 0.2, max: 2}}", [0.25, 0.5, 1, 2]),
    ("decoder.temperature", "{min: 1e-3, max: 2e-3, num: 2}", [0.001, 0.002]),
    ("random_seed", "{min: 0, max: 4000000000, num: 2}", [0, 4000000000]),
]


@pytest.mark.parametrize(("path", "written", "values"), RANGES)
def test_claim_5_1_ranges_include_both_ends_and_whole_numbers_stay_whole(
    path: str, written: str, values: list[float]
) -> None:
    assert [row[0] for row in rows(f"sweep: {{{path}: {written}}}\n", path)] == values


def test_claim_5_1_a_range_of_one_value_is_the_same_experiment_twice() -> None:
    plan = plan_of("sweep: {n: {min: 4, max: 4, num: 2}}\n")
    assert (plan.declared, len(plan.experiments), len(plan.merged)) == (2, 1, 1)


WRONG = {
    "sweep: {n: {min: 1, max: 2, num: 1}}": "2:34: n: num: expected a whole number from 2",
    "sweep: {n: {min: 3, max: 2, num: 2}}": "2:18: n: min (3) is greater than max (2)",
    "sweep: {n: {log: {min: 0, max: 2, num: 2}}}": "2:24: n: min must be greater than 0 in a log range",
    "sweep: {n: {pow2: {min: 5, max: 7}}}": "2:19: n: no power of two lies from 5 to 7",
    "sweep: {n: {pow2: {min: -1, max: 7}}}": "2:25: n: min must be greater than 0 in a pow2 range",
    "sweep: {n: {pow2: {min: 0.5, max: 7}}}": "2:12: n: expected a whole number ≥ 1, found the number 0.5",
    "sweep: {n: {min: 1, max: 2, num: 3}}": "2:12: n: expected a whole number ≥ 1, found the number 1.5",
    "sweep: {n: {min: 1, max: 2}}": "2:12: n: num is missing in a range",
    "sweep: {n: {min: 1, max: 2, nim: 3}}": "2:29: n: unknown key 'nim' in a range (did you mean 'num'?)",
    "sweep: {n: {min: x, max: 2, num: 3}}": "2:18: n: min: expected a number, found text 'x'",
    "sweep: {n: {min: true, max: 2, num: 3}}": "2:18: n: min: expected a number, found true",
    "sweep: {n: {log: {min: 1, max: 2, num: 2}, pow2: {min: 1, max: 2}}}": "2:12: n: a range is",
    "sweep: {n: {log: 3}}": "2:12: n: a range is",
    "sweep: {n: {start: 3}}": "2:12: n: expected a value, a list of values, or a range",
    "sweep: {n: {}}": "2:12: n: expected a value, a list of values, or a range",
    "sweep: {n: [1, {}]}": "2:16: sweep.n: values and mappings are mixed",
    "sweep: {name: [{n: 1}]}": "2:9: sweep.name: name is a key of the study: those are not swept",
    "sweep: {g: [1, {n: 1}]}": "2:13: sweep.g: expected a mapping like the other entries, found the number 1",
    "sweep: {g: [{n: 1}, null]}": "2:21: sweep.g: expected a mapping like the other entries, found null",
    "sweep: {g: [1, 2]}": "2:9: unknown path 'g' in sweep",
    "sweep: {g: [{nn: 1}]}": "2:14: unknown path 'nn' in sweep",
    "sweep: {g: [{decoder: {topp: 1}}]}": "2:24: unknown key 'topp' in decoder (did you mean 'top_p'?)",
    "sweep: {g: [{n: []}]}": "2:17: n: the list is empty",
    "sweep: {g: [{n: x}]}": "2:17: n: expected a whole number ≥ 1, found text 'x'",
    "sweep: {g: [{n: 1}], n: [2]}": "2:22: n is set here and by 'g' in the same sweep",
    "sweep: {n: [2], g: [{n: 1}]}": "2:22: n is set here and by 'n' in the same sweep",
    "sweep: {g: [{n: 1}], h: [{n: 1}]}": "2:27: n is set here and by 'g' in the same sweep",
    "sweep: {g: [{dataset: x}], h: [{dataset.input_len: 1}]}": "2:33: dataset.input_len is set here and by 'g'",
    "sweep: {g: [{dataset.input_len: 1}], dataset: [x]}": "2:38: dataset is set here and by 'g'",
    "sweep: {g: [{decoder: {top_p: 1}, decoder.top_p: 1}]}": "2:35: decoder.top_p is set twice in one entry",
    "sweep: {decoder: [1]}": "2:19: decoder: expected a mapping, found the number 1",
    "sweep: {n.x: [1]}": "2:9: unknown path 'n.x' in sweep",
    "sweep: {decoder..top_p: [1]}": "2:9: unknown path 'decoder..top_p' in sweep",
    "sweep: {passthrough_kwargs.: [1]}": "2:9: unknown path 'passthrough_kwargs.' in sweep",
    "sweep: [1]": "2:8: sweep: expected a mapping, found a list",
    "sweep: {vllm.engine.block_size: [8]}": "2:9: vllm.engine.block_size: this study runs no vllm experiments (backend: pytorch)",
    "sweep: {g: [{vllm.engine.block_size: 8}]}": "2:14: vllm.engine.block_size: this study runs no vllm experiments",
    "experiments: {a: 1}": "2:14: experiments: expected a list of mappings, found a mapping",
    "experiments: [null]": "2:15: experiments[0]: expected a mapping, found null",
    "experiments: [{n: [1, 2]}]": "2:19: n: expected a whole number ≥ 1, found a list",
    "experiments: [{execution: {}}]": "2:16: experiments[0]: execution is a key of the study, not of an experiment",
    "experiments: [{backend: [pytorch]}]": "2:25: backend: expected one of pytorch, vllm, found a list",
    "experiments: [{vllm: {engine: {block_size: 8}}}]": "2:16: experiments[0]: section vllm does not belong here",
    "experiments: [{backend: vllm, pytorch: {batch_size: 8}}]": "2:31: experiments[0]: section pytorch does not belong",
    "sweep: {n: {min: 1, max: 2000, num: 2000}, random_seed: {min: 0, max: 999, num: 1000}}": "2:8: the study declares 2000000 experiments",
    "sweep: {g: [{n: {min: 1, max: 2000, num: 2000}, random_seed: {min: 0, max: 999, num: 1000}}]}": "2:13: the sweep writes out more than 250000 values and combinations",
    "sweep: {n: {min: 1, max: 9, num: 300000}}": "2:34: n: num: expected a whole number from 2 to 250000",
    "sweep: {" + ", ".join(f"passthrough_kwargs.k{i}: 1" for i in range(201)) + "}": "2:8: more than 200 axes and groups",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_claim_5_1_what_breaks_the_grammar_is_an_error_with_its_place(text: str) -> None:
    assert any(WRONG[text] in problem for problem in errors(text + "\n")), errors(text + "\n")


def test_claim_5_1_a_section_in_an_entry_of_a_study_of_several_needs_the_entrys_backend() -> None:
    text = "backend: [pytorch, vllm]\nexperiments: [{vllm: {engine: {block_size: 8}}}]\n"
    assert errors(text)[0].startswith(
        "3:16: experiments[0]: section vllm does not belong here; this study runs pytorch and"
    )


def test_claim_5_1_entries_are_appended_after_the_sweep_and_merged_deeply() -> None:
    text = "n: 9\ndecoder: {top_p: 0.5}\nsweep: {n: [1]}\nexperiments: [{decoder: {min_p: 0.1}}, {n: 3}]\n"
    assert rows(text, "n", "decoder.top_p", "decoder.min_p") == [(1, 0.5, None), (9, 0.5, 0.1), (3, 0.5, None)]


def test_claim_5_1_entries_alone_replace_the_experiment_of_the_shared_keys() -> None:
    assert rows("n: 9\nexperiments: [{n: 3}]\n", "n") == [(3,)]


def test_claim_5_1_an_entry_without_backend_in_a_study_of_several_is_taken_once_per_backend() -> None:
    for declared in ("backend: [vllm, pytorch]\n", "sweep: {backend: [vllm, pytorch]}\n"):
        text = declared + "experiments: [{n: 3}, {backend: pytorch, n: 4}]\n"
        assert rows(text, "backend", "n")[-3:] == [("vllm", 3), ("pytorch", 3), ("pytorch", 4)]


def test_claim_5_1_a_backend_named_only_in_an_entry_counts_as_run() -> None:
    text = "sweep: {vllm.engine.block_size: [8, 16]}\nexperiments: [{backend: vllm}]\n"
    study = parse_study(M + text, source="s.yaml")
    assert study.backends == ("pytorch", "vllm")
    assert rows(text, "backend", "vllm.engine.block_size") == [("pytorch", None), ("vllm", None)]


def test_claim_5_1_a_swept_backend_is_an_ordinary_axis_and_varies_faster_than_groups() -> None:
    text = """
sweep:
  n: [1, 2]
  backend: [pytorch, vllm]
  vllm.engine.block_size: [8, 16]
  g: [{precision: fp16}, {precision: fp32, pytorch.batch_size: [2, 3]}]
"""
    assert rows(text, "precision", "n", "backend", "pytorch.batch_size", "vllm.engine.block_size") == [
        ("fp16", 1, "pytorch", 1, None),
        ("fp16", 1, "vllm", None, 8),
        ("fp16", 1, "vllm", None, 16),
        ("fp16", 2, "pytorch", 1, None),
        ("fp16", 2, "vllm", None, 8),
        ("fp16", 2, "vllm", None, 16),
        ("fp32", 1, "pytorch", 2, None),
        ("fp32", 1, "vllm", None, 8),
        ("fp32", 1, "vllm", None, 16),
        ("fp32", 2, "pytorch", 2, None),
        ("fp32", 2, "vllm", None, 8),
        ("fp32", 2, "vllm", None, 16),
        ("fp32", 1, "pytorch", 3, None),
        ("fp32", 2, "pytorch", 3, None),
    ]


def test_claim_5_1_a_swept_value_replaces_a_shared_one_and_null_unsets_it() -> None:
    assert rows("decoder: {top_k: 10}\nsweep: {decoder.top_k: [null, 50]}\n", "decoder.top_k") == [(None,), (50,)]
    assert rows("lora: {adapter_path: x}\nsweep: {lora: [null]}\n", "lora") == [(None,)]
    assert rows("backend: [pytorch, vllm]\nsweep: {backend: [vllm]}\n", "backend") == [("vllm",)]
    assert rows("n: 5\nexperiments: [{n: null}]\n", "n") == [(100,)]


def test_claim_5_1_a_swept_preset_fills_what_is_not_written() -> None:
    text = "decoder: {top_p: 0.5}\nsweep: {decoder.preset: [deterministic, creative, factual]}\n"
    paths = (
        "decoder.do_sample",
        "decoder.temperature",
        "decoder.top_p",
        "decoder.repetition_penalty",
        "decoder.preset",
    )
    assert rows(text, *paths) == [(False, 1, 0.5, 1, None), (True, 0.8, 0.5, 1.1, None), (True, 0.3, 0.5, 1, None)]


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_claim_5_1_a_base_lies_underneath_and_is_merged_deeply(tmp_path: Path) -> None:
    write(tmp_path / "deep", root="n: 1\nmodel: a/b\ndecoder: {top_p: 0.1, min_p: 0.1}\nexecution: {n_cycles: 9}\n")
    write(
        tmp_path, middle="base: deep/root.yaml\nn: 2\ndecoder: {top_p: 0.2}\nbackend: [pytorch, vllm]\nsweep: {x: 1}\n"
    )
    write(tmp_path / "own", study="base: ../middle.yaml\nbackend: vllm\ndecoder: {min_p: 0.3}\n")
    study = load_study(tmp_path / "own" / "study.yaml")
    (config,) = make_plan(study).experiments.values()
    assert (config.model, config.n, config.backend, study.execution.n_cycles) == ("a/b", 2, "vllm", 1)
    assert (config.decoder.top_p, config.decoder.min_p) == (0.2, 0.3)


def test_claim_5_1_input_paths_of_a_base_are_relative_to_the_base(tmp_path: Path) -> None:
    text = "model: ./m\ndataset: d.jsonl\nlora: {adapter_path: a}\n"
    write(tmp_path / "shared", base=text)
    write(tmp_path / "shared", beside="base: base.yaml\n")
    write(tmp_path / "own", study="base: ../shared/base.yaml\n")
    (config,) = make_plan(load_study(tmp_path / "own" / "study.yaml")).experiments.values()
    assert (config.model, config.dataset) == ("../shared/m", "../shared/d.jsonl")
    assert config.lora is not None
    assert config.lora.adapter_path == "../shared/a"
    (config,) = make_plan(load_study(tmp_path / "shared" / "beside.yaml")).experiments.values()
    assert (config.model, config.dataset) == ("./m", "d.jsonl")
    (tmp_path / "shared" / "builtin").mkdir()
    write(tmp_path / "shared", base="model: x\ndataset: builtin\n")
    (config,) = make_plan(load_study(tmp_path / "own" / "study.yaml")).experiments.values()
    assert config.dataset == "builtin"
    write(tmp_path / "shared", base="model: org/name\ndataset: /abs/d.csv\nlora: {adapter_path: ~/a}\n")
    (config,) = make_plan(load_study(tmp_path / "own" / "study.yaml")).experiments.values()
    assert (config.model, config.dataset) == ("org/name", "/abs/d.csv")
    assert config.lora is not None
    assert config.lora.adapter_path == "~/a"


def test_claim_5_5_errors_inside_a_base_name_that_file(tmp_path: Path) -> None:
    write(tmp_path, base="model: x\nn: 0\nwarmup: {windw_size: 5}\n", broken="a: [\n", listed="- 1\n")
    for name, expected in {
        "base": ["base.yaml:2:4: n: expected", "base.yaml:3:10: unknown key 'windw_size' in warmup"],
        "broken": ["broken.yaml:2:1: YAML: did not find expected node content"],
        "listed": ["listed.yaml:1:1: a base has to be a mapping"],
        "nothing": [f"study.yaml:1:7: base: {tmp_path}/nothing.yaml cannot be read (No such file or directory)"],
    }.items():
        write(tmp_path, study=f"base: {name}.yaml\nmodel: x\nn: -1\n")
        with pytest.raises(StudyFileError) as caught:
            load_study(tmp_path / "study.yaml")
        text = str(caught.value)
        assert all(line in text for line in expected), text
        assert "study.yaml:3:4: n: expected" in text


def test_claim_5_5_a_cycle_of_bases_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, a="base: b.yaml\nmodel: x\n", b="base: c.yaml\n", c="base: ./b.yaml\n", self="base: self.yaml\n")
    for name in ("a", "self"):
        with pytest.raises(StudyFileError, match=r"is a base of itself"):
            load_study(tmp_path / f"{name}.yaml")
