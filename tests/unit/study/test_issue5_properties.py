"""Claim 9 of issue 5: whatever is written either expands or gives our error, and always to the same plan."""

# ruff: noqa: PT017 (strategies read best on one line; an error is asserted on where it may or may not come)

from __future__ import annotations

import json
from math import prod
from typing import Any

import yaml
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from llem.study import Plan, StudyFileError, make_plan, parse_study
from llem.study.check import Checker, normal
from llem.study.experiment import not_default, with_defaults
from llem.study.identity import experiment_id as id_of
from llem.study.keys import Leaf, all_paths, find
from llem.study.merge import deep_merge, nest
from llem.study.nodes import BROKEN, compose, node_of
from llem.study.problems import Problems
from llem.study.rules import BOUND_RULES
from llem.study.scalars import written_as_yaml
from llem.study.study_keys import STUDY_KEYS
from llem_runner.contract import ExperimentConfig

RELAXED = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(
        ["bf16", "fp32", "pytorch", "vllm", "builtin:tiny-llama", "creative", "static", "off", "8g", "1e-3"]
    ),
    st.text(max_size=4),
)
PATHS = st.sampled_from([".".join(path) for path in all_paths()])
NAMES = st.one_of(
    PATHS.map(lambda dotted: dotted.split(".")[0]),
    PATHS.map(lambda dotted: dotted.rsplit(".", 1)[-1]),
    st.sampled_from([*STUDY_KEYS, "n_cycles", "gate", "image", "traffic", "gpu", "log", "pow2", "min", "max", "num"]),
    st.text(max_size=3),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | PATHS, inner, max_size=3), max_leaves=8
)
SWEEPS = st.dictionaries(
    PATHS | st.text(max_size=3), VALUES | st.lists(st.dictionaries(PATHS, VALUES, max_size=3), max_size=3), max_size=4
)
STUDIES = st.fixed_dictionaries(
    {"model": st.just("builtin:tiny-llama")},
    optional={
        "sweep": SWEEPS,
        "experiments": st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3),
        "execution": st.dictionaries(NAMES, VALUES, max_size=3),
        "backend": st.lists(st.sampled_from(["pytorch", "vllm"]), max_size=2) | SCALARS,
        "decoder": st.dictionaries(NAMES, SCALARS, max_size=3),
        "passthrough_kwargs": VALUES,
    },
)


CANDIDATES: list[Any] = [
    None,
    True,
    False,
    0,
    0.5,
    1,
    1.0,
    2,
    7,
    60,
    128,
    0.9,
    "x",
    "auto",
    "cuda",
    "cpu",
    "./m",
    {},
    {"a": [1, {"b": 2}]},
]


def _possible(path: tuple[str, ...]) -> list[Any]:
    """Candidates that a key takes, its listed choices among them."""
    found = find(path)
    assert found is not None
    leaf = found.key if isinstance(found.key, Leaf) else getattr(found.key, "scalar", None)
    if leaf is None:
        return []
    values = [value for value in (*CANDIDATES, *leaf.choices) if not isinstance(value, dict) or leaf.open]
    return [v for v in values if Checker(Problems()).value(node_of(v, "f"), found.key, path) is not BROKEN]


POSSIBLE = {path: values for path in all_paths() if (values := _possible(path))}
DOTTED = {".".join(path): values for path, values in POSSIBLE.items() if path != ("model",)}
FLAT = {path: [v for v in values if not isinstance(v, dict)] for path, values in DOTTED.items()}


def _chosen(size: int, *, lists: bool) -> st.SearchStrategy[dict[str, Any]]:
    def values(path: str) -> st.SearchStrategy[Any]:
        one = st.sampled_from(FLAT[path])
        return st.lists(one, min_size=1, max_size=3) if lists else one

    usable = [path for path, options in FLAT.items() if options]
    paths = st.lists(st.sampled_from(usable), max_size=size, unique=True)
    return paths.flatmap(lambda chosen: st.fixed_dictionaries({path: values(path) for path in chosen}))


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for dotted, value in flat.items():
        tree = deep_merge(tree, nest(tuple(dotted.split(".")), value))
    return tree


def _agrees_with_every_rule_judged_on_every_experiment(text: str) -> None:
    """The expansion judges rules that nothing swept touches only once: the answer must be the same."""
    study = parse_study(text, source="s.yaml")
    broken = []
    for _, _, backend, written in study.expansion.walk():
        rules = [bound for bound in BOUND_RULES if bound.backend in (None, backend)]
        broken.append(next((bound.rule.name for bound in rules if bound.broken_by(written)), None))
    assert [name for name in broken if name] == [skipped.rule for skipped in make_plan(study).skipped]


VALID_STUDIES = st.fixed_dictionaries(
    {"model": st.just("builtin:tiny-llama")},
    optional={
        "shared": _chosen(5, lists=False),
        "sweep": _chosen(3, lists=True),
        "group": st.lists(_chosen(2, lists=True), min_size=1, max_size=3),
        "experiments": st.lists(_chosen(3, lists=False).map(_nested), min_size=1, max_size=3),
        "backend": st.lists(st.sampled_from(["pytorch", "vllm"]), min_size=1, max_size=2),
    },
)  # fmt: skip


@settings(RELAXED, max_examples=300)
@given(VALID_STUDIES)
def test_claim_5_9_studies_of_possible_values_expand_to_configurations_that_the_runner_takes(
    parts: dict[str, Any],
) -> None:
    sweep = {**parts.get("sweep", {}), **({"g": parts["group"]} if "group" in parts else {})}
    rest = {key: parts[key] for key in ("model", "experiments", "backend") if key in parts}
    study = {**_nested(parts.get("shared", {})), **rest, "sweep": sweep or None}
    text = written_as_yaml(node_of(study, "f").plain())
    answer = plan_or_error(text)
    if answer.startswith("["):
        _agrees_with_every_rule_judged_on_every_experiment(text)
    event("plan" if answer.startswith("[") else f"error: {answer.split(': ')[-1][:40]}")
    assert answer == plan_or_error(text)


def told(plan: Plan) -> str:
    return json.dumps([plan.to_json(), plan.swept, plan.notes, plan.warnings, plan.plan_hash], sort_keys=True)


def plan_or_error(text: str | bytes) -> str:
    try:
        plan = make_plan(parse_study(text, source="s.yaml"))
    except StudyFileError as error:
        assert error.problems
        assert all(problem.line >= 1 or problem.message.endswith("runs") for problem in error.problems), error.problems
        return str(error)
    assert plan.declared == len(plan.experiments) + len(plan.skipped) + len(plan.merged)
    for experiment_id, config in plan.experiments.items():  # every configuration is one that the runner takes
        plan.swept_values(experiment_id)
        assert experiment_id == id_of(not_default(normal(config.model_dump(mode="json"))))
    return told(plan)


@RELAXED
@given(STUDIES)
def test_claim_5_9_any_study_of_known_names_expands_or_gives_our_error_and_always_the_same(
    study: dict[str, Any],
) -> None:
    text = written_as_yaml(study)
    assert plan_or_error(text) == plan_or_error(text)


@RELAXED
@given(VALUES)
def test_claim_5_9_any_document_expands_or_gives_our_error(document: Any) -> None:
    plan_or_error(yaml.safe_dump(document, allow_unicode=True))


@RELAXED
@given(st.text(max_size=200) | st.binary(max_size=200))
@example("model: x\n? !!set {a}\n")
@example(b"\xef\xbb\xbf\xef\xbb\xbfmodel: x")
@example("%TAG ! !x\n---\nmodel: !y z\n")
@example("&a : *a")
def test_claim_5_9_any_text_expands_or_gives_our_error(text: str | bytes) -> None:
    plan_or_error(text)


AXES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True),
        "precision": st.lists(st.sampled_from(["fp32", "fp16", "bf16"]), min_size=1, unique=True),
        "random_seed": st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
        "pytorch.batch_size": st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
        "pytorch.length_penalty": st.lists(st.integers(-3, 3), min_size=1, max_size=3, unique=True),
        "vllm.engine.block_size": st.lists(st.sampled_from([8, 16, 32]), min_size=1, unique=True),
    },
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "max_input_tokens": st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True),
        "pytorch.no_repeat_ngram_size": st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
        "vllm.engine.max_num_seqs": st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
    },
)


@RELAXED
@given(AXES, st.lists(ENTRY, max_size=3), st.sampled_from([["pytorch"], ["vllm", "pytorch"]]), st.integers(0, 3))
def test_claim_5_9_the_count_is_the_product_that_the_grammar_promises(
    axes: dict[str, list[Any]], group: list[dict[str, list[Any]]], backends: list[str], entries: int
) -> None:
    if "vllm" not in backends:
        axes = {path: values for path, values in axes.items() if not path.startswith("vllm.")}
        group = [{path: values for path, values in entry.items() if not path.startswith("vllm.")} for entry in group]

    def own(path: str, backend: str) -> bool:
        return path.split(".")[0] in (backend, *(set(path.split(".")[:1]) - {"pytorch", "vllm"}))

    expected = 0
    for backend in backends:
        choices = sum(prod(len(v) for p, v in entry.items() if own(p, backend)) for entry in group) if group else 1
        expected += choices * prod(len(values) for path, values in axes.items() if own(path, backend))
    sweep = {**axes, **({"g": group} if group else {})}
    study = {"model": "x", "backend": backends, "sweep": sweep}
    study["experiments"] = [{"n": 1000 + i} for i in range(entries)] or None
    expected = (expected if sweep or not entries else 0) + entries * len(backends)
    plan = make_plan(parse_study(written_as_yaml(study), source="s.yaml"))
    assert plan.declared == expected
    assert len(plan.experiments) + len(plan.merged) == expected


KEYS = st.sampled_from("abc")
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(KEYS, st.integers(0, 3) | st.none() | st.lists(st.integers(0, 1), max_size=2), max_size=3),
    lambda inner: st.dictionaries(KEYS, inner | st.integers(0, 3) | st.none(), max_size=3),
    max_leaves=6,
)


@RELAXED
@given(TREES, TREES, TREES)
@example({"a": {"b": 1}}, {"a": 0}, {"a": {"c": 1}})
@example({"a": {"b": 1}}, {"a": None}, {"a": {}})
def test_claim_5_9_deep_merge_is_associative(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    assert deep_merge(deep_merge(a, b), c) == deep_merge(a, deep_merge(b, c))
    assert deep_merge(a, {}) == deep_merge({}, a) == a


@RELAXED
@given(TREES, TREES)
def test_claim_5_9_deep_merge_changes_nothing_in_place(a: dict[str, Any], b: dict[str, Any]) -> None:
    before = json.dumps([a, b])
    deep_merge(a, b)
    assert json.dumps([a, b]) == before


@RELAXED
@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )
)
def test_claim_5_9_values_written_as_yaml_are_read_back_the_same(value: Any) -> None:
    problems = Problems()
    root = compose(written_as_yaml({"x": node_of(value, "f").plain()}), "f", problems)
    if not problems:  # control characters are refused, for one
        assert root is not None
        assert normal(root.plain()) == normal({"x": value})


def test_claim_5_9_defaults_filled_in_and_taken_out_again_change_nothing() -> None:
    plan = make_plan(
        parse_study("model: x\nsweep: {decoder.top_k: [null, 5], pytorch.batch_size: [1, 2]}\n", source="s")
    )
    for config in plan.experiments.values():
        kept = not_default(with_defaults(config.model_dump(mode="json", exclude_defaults=True)))
        assert ExperimentConfig.model_validate(kept) == config
