"""Claim 5 of issue 5: whatever the bytes are, the answer is a study or our error with its place."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from llem.errors import UsageError
from llem.study import StudyFileError, load_study, make_plan, nodes, parse_study
from llem.study.problems import Problems

M = "model: builtin:tiny-llama\n"


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        make_plan(parse_study(text, source="s.yaml"))
    return [str(problem) for problem in caught.value.problems]


BAD = {
    "empty file": ("", "s.yaml:1:1: the file is empty"),
    "only a comment": ("# nothing\n", "s.yaml:1:1: the file is empty"),
    "null document": ("---\n", "s.yaml:2:1: the file is empty: a study file has to be a mapping"),
    "list at the top": ("- model: x\n", "s.yaml:1:1: a study file has to be a mapping"),
    "text at the top": ("hello\n", "s.yaml:1:1: a study file has to be a mapping"),
    "two documents": (M + "---\nmodel: y\n", "s.yaml:2:1: a second document"),
    "duplicate key": (M + "n: 1\nn: 2\n", "s.yaml:3:1: the key 'n' is written twice"),
    "duplicate key deep": (M + "decoder:\n  top_p: 1\n  top_p: 1\n", "s.yaml:4:3: the key 'top_p' is written twice"),
    "tab indents": (M + "decoder:\n\ttop_p: 1\n", "s.yaml:3:1: YAML: a tab cannot indent"),
    "broken flow": (M + "decoder: {top_p: 1\nn: 1\n", "YAML: did not find expected"),
    "control character": (M + "name: a\x07b\n", "s.yaml:2:8: the character U+0007 is not allowed"),
    "lone surrogate": (M + "name: '\ud83d'\n", "s.yaml:2:8: the character U+D83D"),
    "latin-1": (M.encode() + "name: Größe\n".encode("latin-1"), "s.yaml:2:9: the file is not UTF-8 (byte 0xf6)"),
    "utf-16": (("\ufeff" + M).encode("utf-16-le"), "s.yaml:1:1: the file is UTF-16"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "s.yaml:1:1: the file is not UTF-8"),
    "yes as text": (M + "revision: yes\n", "s.yaml:2:11: revision: expected text, found yes, which is true to YAML"),
    "no as text": (M + "name: no\n", "s.yaml:2:7: name: expected text, found no, which is false to YAML"),
    "on as number": (M + "n: on\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found on"),
    "number as text": (M + "n: '5'\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found text '5'"),
    "true is no 1": (M + "n: true\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found true"),
    "text is no flag": (M + "trust_remote_code: 'true'\n", "s.yaml:2:20: trust_remote_code: expected true or false"),
    "a fraction": (M + "n: 1.5\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found the number 1.5"),
    "infinity": (M + "decoder: {temperature: .inf}\n", "s.yaml:2:24: .inf is not a number that can be used"),
    "nan": (M + "decoder: {temperature: .nan}\n", "s.yaml:2:24: .nan is not a number that can be used"),
    "too large a float": (M + "decoder: {temperature: 1e999}\n", "s.yaml:2:24: 1e999 is too large"),
    "number of 5000 digits": (M + f"n: {'9' * 5000}\n", "s.yaml:2:4: a number of 5000 digits is too long"),
    "sexagesimal is text": (M + "n: 1:30\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found text '1:30'"),
    "octal is text": (M + "n: 010\n", "s.yaml:2:4: n: expected a whole number ≥ 1, found text '010'"),
    "date": (M + "name: 2024-01-31\n", "s.yaml:2:7: 2024-01-31 is a date to YAML"),
    "tag": (M + "n: !!int '5'\n", "s.yaml:2:4: the tag 'tag:yaml.org,2002:int' is not used here"),
    "python tag": (M + "name: !!python/object/apply:os.system [ls]\n", "s.yaml:2:7: the tag 'tag:yaml.org"),
    "empty list": (M + "sweep: {precision: []}\n", "s.yaml:2:20: precision: the list is empty"),
    "empty group": (M + "sweep: {g: []}\n", "s.yaml:2:12: sweep.g: the list is empty"),
    "empty list of entries": (M + "experiments: []\n", "s.yaml:2:14: experiments: the list is empty"),
    "empty list of backends": (M + "backend: []\n", "s.yaml:2:10: backend: the list is empty"),
    "list for a scalar": (M + "precision: [bf16]\n", "s.yaml:2:12: precision: expected one of fp32, fp16, bf16, found a l"),
    "scalar for a section": (M + "decoder: 5\n", "s.yaml:2:10: decoder: expected a mapping, found the number 5"),
    "unknown at depth 1": (M + "bacth: 1\n", "s.yaml:2:1: unknown key 'bacth'"),
    "unknown at depth 2": (M + "warmup: {windw_size: 5}\n", "(did you mean 'window_size'?)"),
    "unknown at depth 3": (M + "vllm: {engine: {blok_size: 5}}\n", "in vllm.engine (did you mean 'block_size'?)"),
    "unknown in execution": (M + "execution: {cycels: 5}\n", "in execution (did you mean 'n_cycles'?)"),
    "unknown in sweep": (M + "sweep: {pytorch.batchsize: [1]}\n", "(did you mean 'pytorch.batch_size'?)"),
    "unknown literal": (M + "precision: bf61\n", "(did you mean 'bf16'?)"),
    "unknown builtin": ("model: builtin:tiny-lama\n", "s.yaml:1:8: model: 'builtin:tiny-lama' is none of"),
    "dotted outside sweep": (M + "decoder.top_p: 1\n", "s.yaml:2:1: unknown key 'decoder.top_p': dotted paths are for"),
    "dotted in an entry": (M + "experiments: [{decoder.top_p: 1}]\n", "s.yaml:2:16: unknown key 'decoder.top_p'"),
    "key of a list": (M + "? [a]\n: 1\n", "s.yaml:2:3: a key has to be text"),
    "number as key": (M + "1: 2\n", "s.yaml:2:1: unknown key '1'"),
    "null as key": (M + "~: 2\n", "s.yaml:2:1: unknown key '~'"),
    "empty key": (M + "decoder: {'': 1}\n", "s.yaml:2:11: unknown key '' in decoder"),
    "merge of a scalar": (M + "decoder: {<<: 5}\n", "s.yaml:2:15: '<<' takes a mapping"),
    "unknown alias": (M + "n: *x\n", "s.yaml:2:4: the alias *x names no anchor"),
    "recursion": (M + "passthrough_kwargs: &a {self: *a}\n", "s.yaml:2:31: the alias *a stands inside the value"),
    "deep nesting": (M + "passthrough_kwargs: " + "[" * 500, "nested deeper than 64 levels"),
    "very deep nesting": ("[" * 100_000, "nested deeper than 64 levels"),
    "deep blocks": ("".join(f"{' ' * i}k:\n" for i in range(200)), "nested deeper than 64 levels"),
    "NUL by escape": ('model: "a\\0b"\n', "s.yaml:1:8: model: 'a\\x00b' must not hold a NUL character"),
    "blank text": ("model: '  '\n", "s.yaml:1:8: model: '  ' must not be empty"),
    "hostile name": (M + 'decoder: {"\\e[31m": 1}\n', "s.yaml:2:11: unknown key '\\x1b[31m' in decoder"),
    "a very long key": (M + f"? {'k' * 5000}\n: 1\n", "s.yaml:2:3: unknown key 'kkk"),
    "unknown size": (M + "docker: {shm_size: 8 gigs}\n", "s.yaml:2:20: docker.shm_size: '8 gigs' is not a size"),
    "unknown runner": (M + "runners: {pytorch: remote}\n", "'remote' is none of local, docker, auto, docker:IMAGE"),
    "runner without image": (M + "runners: {pytorch: 'docker:'}\n", "'docker:' is none of"),
    "image twice": (M + "runners: {pytorch: docker:a}\nimages: {pytorch: b}\n", "s.yaml:3:10: images.pytorch: runners.pytorch"),
    "pull beside an image in runners": (M + "runners: {pytorch: docker:a}\nimages: {pytorch: {pull: never}}\n", "s.yaml:3:10: images.pytorch"),
    "base is a folder": (M + "base: /\n", "s.yaml:2:7: base: / is not a file"),
    "base is a device": (M + "base: /dev/zero\n", "s.yaml:2:7: base: /dev/zero is not a file"),
    "base of nobody": (M + "base: ~nobody-here/x\n", "s.yaml:2:7: base: ~nobody-here/x: there is no such user"),
    "zero cycles": (M + "execution: {n_cycles: 0}\n", "s.yaml:2:23: execution.n_cycles: expected a whole number ≥ 1"),
    "gate lacks a key": (M + "execution: {gate: {band_c: 3}}\n", "s.yaml:2:19: execution.gate: max_wait_seconds is missing"),
    "gate with a null": (M + "execution: {gate: {band_c: 3, max_wait_seconds: null}}\n", "max_wait_seconds is missing"),
    "no gpus": (M + "execution: {gpus: []}\n", "s.yaml:2:19: execution.gpus: the list is empty"),
    "parallel on": (M + "execution: {parallel: on}\n", "s.yaml:2:23: execution.parallel: expected one of off, gpus, found on"),
    "too many runs": (M + f"execution: {{n_cycles: {10**300}}}\n", "are more than 10000000 runs"),
    "no model": ("n: 1\n", "s.yaml:1:1: model is missing"),
    "null model": ("model:\n", "s.yaml:1:1: model is missing"),
    "no model in an entry": ("experiments: [{n: 1}, {model: x}]\n", "s.yaml:1:15: model is missing"),
    "model missing in part": ("sweep: {m: [{model: x}, {n: 1}]}\n", "s.yaml:1:25: model is missing"),
    "half a dataset": (M + "dataset: {input_len: 5}\n", "s.yaml:2:1: dataset: output_len is missing"),
    "half a dataset in part": (M + "sweep: {dataset.input_len: [5]}\n", "s.yaml:2:29: dataset: output_len is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_claim_5_5_bad_input_is_answered_with_its_place(name: str) -> None:
    text, expected = BAD[name]
    assert any(expected in problem for problem in problems_of(text)), problems_of(text)


LATER = {
    "backend: tensorrt": "2:10: backend tensorrt",
    "backend: [pytorch, sglang]": "2:20: backend sglang",
    "sweep: {backend: [sglang]}": "2:19: backend sglang",
    "experiments: [{backend: tensorrt}]": "2:25: backend tensorrt",
    "sglang: {}": "2:1: sglang",
    "sweep: {tensorrt.x: 1}": "2:9: tensorrt.x",
    "traffic: {rate: 3}": "2:1: traffic",
    "gpu: {power_limit_w: 300}": "2:7: gpu.power_limit_w",
    "sweep: {gpu.power_limit_w: [300]}": "2:9: gpu.power_limit_w",
    "gpu: {model: H100}": "2:7: gpu.model",
    "execution: {cluster: x}": "2:13: execution.cluster",
    "execution: {placement: x}": "2:13: execution.placement",
    "execution: {exclusive: x}": "2:13: execution.exclusive",
    "runners: {tensorrt: docker}": "2:11: runners.tensorrt",
    "images: {sglang: x}": "2:10: images.sglang",
}


@pytest.mark.parametrize("line", LATER)
def test_claim_5_3_names_that_are_not_there_yet_say_so(line: str) -> None:
    assert f"s.yaml:{LATER[line]}: not available yet" in problems_of(M + line + "\n")


def test_claim_5_5_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    study = parse_study(("\ufeff" + M + "n: 7\n").replace("\n", "\r\n").encode(), source="s.yaml")
    assert [config.n for config in make_plan(study).experiments.values()] == [7]
    (problem,) = problems_of(("\ufeff" + M + "# ü\nn: '7'\n").replace("\n", "\r\n").encode())
    assert problem.startswith("s.yaml:3:4: ")


def test_claim_5_5_numbers_and_booleans_are_read_as_people_mean_them() -> None:
    text = M + "n: 100.0\ndecoder: {do_sample: yes, temperature: 1e-3, top_p: 1E0}\nrandom_seed: 1_000\n"
    (config,) = make_plan(parse_study(text, source="s.yaml")).experiments.values()
    assert (config.n, config.decoder.do_sample, config.decoder.temperature) == (100, True, 0.001)
    assert (config.decoder.top_p, config.random_seed) == (1.0, 1000)


def test_claim_5_5_null_means_not_set() -> None:
    text = M + "n:\nlora: ~\ndecoder: null\nsweep:\nexperiments: {}\nexecution:\n  n_cycles:\n  gate: off\nrunners:\n"
    study = parse_study(text, source="s.yaml")
    (config,) = make_plan(study).experiments.values()
    assert (config.n, config.lora, study.execution.n_cycles, study.execution.gate) == (100, None, 1, None)


def test_claim_5_5_anchors_and_merges_work_and_a_key_beside_a_merge_wins() -> None:
    text = M + (
        "sweep:\n  g:\n    - &a {precision: fp16, n: 3}\n    - {<<: *a, n: 4}\n    - {n: 5, <<: [*a, {precision: fp32}]}\n"
    )
    configs = list(make_plan(parse_study(text, source="s.yaml")).experiments.values())
    assert [(c.precision, c.n) for c in configs] == [("fp16", 3), ("fp16", 4), ("fp16", 5)]


def test_claim_5_5_aliases_are_counted_as_the_document_is_written_out() -> None:
    inside = "a: &a [&x 1, " + ", ".join(["*x"] * 99) + "]\n"  # 99 aliases, and an anchor around them
    bomb = inside + "b: [" + ", ".join(["*a"] * 101) + "]\n"  # 101 more, each holding 99
    assert any("more than 10000 aliases" in problem for problem in problems_of(bomb))
    harmless = inside + "b: [" + ", ".join(["*a"] * 90) + "]\n"
    assert not any("aliases" in problem for problem in problems_of(harmless))
    laughs = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    assert any("more than 10000 aliases" in problem for problem in problems_of(laughs))
    wide = "a: &a [" + "1," * 5000 + "]\nb: [" + "*a," * 5000 + "]\n"
    assert any("more than 1000000 values" in problem for problem in problems_of(wide))


SAMPLE = "a: &x [1, {b: 2.5}]\nc: [*x, 'text', yes]\nd: {<<: {e: 1}, f: ~}\n"


def test_claim_5_5_without_libyaml_the_tree_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def tree() -> list[object]:
        root = nodes.compose(SAMPLE, "s.yaml", Problems())
        assert root is not None
        return [root.plain(), root.value["c"].place, root.value["d"].value["f"].place, root.aliases]

    with_libyaml = tree()
    monkeypatch.setattr(nodes, "_Parser", yaml.Loader)
    assert tree() == with_libyaml


def test_claim_5_5_ten_megabytes_are_read_and_more_is_refused() -> None:
    at_limit = M + "#" * (10_000_000 - len(M))
    assert make_plan(parse_study(at_limit.encode(), source="s.yaml")).declared == 1
    assert problems_of(at_limit.encode() + b"#") == ["s.yaml:1:1: the file is larger than 10 MB"]


def test_claim_5_5_a_large_file_of_wrong_keys_is_answered_with_the_first_thousand() -> None:
    text = M + "".join(f"batch_siz{i}: {i}\n" for i in range(20_000))
    with pytest.raises(StudyFileError, match="and more: only the first 1000 are shown") as caught:
        parse_study(text, source="s.yaml")
    assert len(caught.value.problems) == 1000


def test_claim_5_5_unicode_names_and_hostile_ones_stay_harmless() -> None:
    slugs = {
        "Größe 1": "gr--e-1",
        "../../etc/passwd": "..-..-etc-passwd",
        "日本": "study",
        "a" * 100: "a" * 64,
        "$(rm -rf /)": "--rm--rf---",
        "x;\n y": "x---y",
    }
    for name, slug in slugs.items():
        text = M + f"name: {name!r}\n" if "\n" not in name else M + f'name: "{name}"\n'.replace("\n", "\\n", 1)
        assert parse_study(text, source="s.yaml").slug == slug
        assert re.fullmatch(r"[a-z0-9._-]{1,64}", slug)


def test_claim_5_5_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UsageError, match=r"the study file cannot be read"):
            load_study(path)


def test_claim_5_5_no_two_problems_hide_each_other() -> None:
    text = "n: 0\nn: 2\nprecision: x\nname: 2024-01-01\nbad key: !t 1\nsweep: {n: 'x'}\nexperiments: [{n: y}, 1]\n"
    places = sorted(tuple(int(part) for part in problem.split(":")[1:3]) for problem in problems_of(text))
    assert places == [(1, 1), (1, 4), (2, 1), (3, 12), (4, 7), (5, 1), (5, 10), (6, 12), (7, 19), (7, 23)]
