"""Whether experiments did the same work: the same ids in, and how many of the tokens that came out are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results_factory import START_S, result, write_run, write_study

from llem.results.open_study import open_study
from llem.results.same_work import Answered, agreements, comparable, different_ids
from llem.results.sanity import implausible
from llem.results.study_result import RunOutcome, StudyRecord, StudyResult, build_study_result
from llem.results.summary import summarise
from llem_runner.contract import ExperimentResult
from llem_runner.contract.exchange import Sample

SAME_IDS = "a" * 64
ids_of_answers = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=4)


def run_of(experiment: str, changes: Mapping[str, Any] | None = None, **keys: Any) -> ExperimentResult:
    """The first cycle of an experiment that was given `SAME_IDS`; `keys` are its configuration's."""
    return result(
        {
            "run_id": f"{experiment}-c1",
            "experiment_id": experiment,
            "cycle": 1,
            "prompt_ids_sha256": SAME_IDS,
            "experiment": {"model": "builtin:smollm2-135m", **keys},
            **(changes or {}),
        }
    )


def compared(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> Any:
    [agreement] = agreements([Answered(run_of("a" * 12), one), Answered(run_of("b" * 12), other)])
    return agreement


@pytest.mark.parametrize(
    ("one", "other", "equal", "tokens", "identical"),
    [
        ([[1, 2, 3]], [[1, 2, 3]], 3, 3, 1),
        ([[1, 2, 3, 4]], [[1, 2, 9, 4]], 3, 4, 0),
        ([[1, 2]], [[1, 2, 3, 4]], 2, 4, 0),
        ([[1, 2], [5]], [[1, 2], [6]], 2, 3, 1),
        ([[1, 2], [5]], [[1, 2]], 2, 2, 1),
    ],
    ids=["equal", "one differs", "one is longer", "two requests", "one kept fewer requests"],
)
def test_claim_9_4_the_share_is_of_equal_tokens_place_by_place(
    one: list[list[int]], other: list[list[int]], equal: int, tokens: int, identical: int
) -> None:
    found = compared(one, other)
    assert (found.equal_tokens, found.tokens, found.identical_requests) == (equal, tokens, identical)
    assert found.equal_share == equal / tokens


@given(one=ids_of_answers, other=ids_of_answers)
def test_claim_9_4_agreement_is_the_same_in_both_directions_and_whole_with_itself(
    one: list[list[int]], other: list[list[int]]
) -> None:
    there, back = compared(one, other), compared(other, one)
    assert (there.equal_tokens, there.tokens) == (back.equal_tokens, back.tokens)
    assert 0 <= there.equal_share <= 1
    assert compared(one, one).equal_share == 1


@pytest.mark.parametrize(
    "other",
    [
        run_of("b" * 12, {"prompt_ids_sha256": "b" * 64}),
        run_of("b" * 12, {"prompt_ids_sha256": None}),
        run_of("b" * 12, decoder={"do_sample": True}),
        run_of("b" * 12, decoder={"repetition_penalty": 1.2}),
        run_of("b" * 12, output_length="fixed"),
        run_of("b" * 12, max_output_tokens=64),
        run_of("b" * 12, revision="main"),
        run_of("b" * 12, weights="dummy"),
    ],
    ids=["ids", "ids unknown", "sampled", "penalty", "length", "limit", "revision", "random weights"],
)
def test_claim_9_4_only_answers_of_one_model_to_the_same_ids_are_compared(other: ExperimentResult) -> None:
    assert comparable([run_of("a" * 12), other]) == []


def test_claim_9_4_backends_precisions_and_batches_are_compared_each_experiment_once_with_the_first() -> None:
    runs = [
        run_of("a" * 12),
        run_of("b" * 12, backend="vllm"),
        run_of("a" * 12, {"cycle": 2}),
        run_of("c" * 12, precision="fp16", pytorch={"batch_size": 8}),
    ]
    assert comparable(runs) == [[runs[0], runs[1], runs[3]]]


@pytest.mark.parametrize(
    ("output", "keys"),
    [
        (80, {"output_length": "fixed"}),
        (80, {"dataset": {"input_len": 5, "output_len": 8}}),
        (240, {"output_length": "fixed", "backend": "vllm", "vllm": {"sampling": {"n": 3}}}),
        (80, {"output_length": "fixed", "backend": "vllm", "vllm": {"beam_search": {"beam_width": 3}}}),
    ],
    ids=["fixed", "synthetic", "three answers a prompt", "beams"],
)
def test_claim_9_4_a_result_whose_requests_of_fixed_length_have_another_number_of_tokens_is_refused(
    output: int, keys: dict[str, Any]
) -> None:
    def told(tokens: int) -> str | None:
        counted = {"input": 50, "output": tokens, "total": 50 + tokens, "cached": None}
        changes = {"tokens": counted, "requests": {"total": 10, "completed": 10}}
        return implausible(run_of("a" * 12, changes, max_output_tokens=8, **keys))

    assert told(output) is None
    assert told(output - 1) == f"tokens.output is {output - 1}, but 10 requests of a fixed length make {output}"


def test_claim_9_3_other_ids_for_the_same_text_are_warned_of() -> None:
    other = run_of("b" * 12, {"prompt_ids_sha256": "b" * 64}, backend="vllm")
    [warning] = different_ids([run_of("a" * 12), other])
    assert warning.code == "prompt_ids_differ"
    assert warning.message.startswith(f"{'b' * 12} and {'a' * 12} were asked the same text")
    study = of_runs([run_of("a" * 12), other])
    assert study.warnings == (warning,)
    assert warning.message in summarise(study).notes


@pytest.mark.parametrize("keys", [{"n": 5}, {"prompt_format": "chat"}, {"max_input_tokens": 9}, {"model": "builtin:x"}])
def test_claim_9_3_other_ids_for_another_text_are_not(keys: dict[str, Any]) -> None:
    other = run_of("b" * 12, {"prompt_ids_sha256": "b" * 64}, **keys)
    assert list(different_ids([run_of("a" * 12), other, run_of("c" * 12)])) == []


def of_runs(runs: list[ExperimentResult]) -> StudyResult:
    outcomes = [RunOutcome(run.run_id, run.experiment_id or "", "completed", {}, run) for run in runs]
    return build_study_result(StudyRecord("night", "d" * 12, START_S), outcomes)


def write_answers(folder: Path, answers: Sequence[tuple[int, ...]]) -> Path:
    (folder / "out").mkdir()
    samples = [Sample(index=index, input_tokens=3, output_token_ids=ids, text="…") for index, ids in enumerate(answers)]
    path = folder / "out" / "samples.jsonl"
    path.write_text("".join(sample.model_dump_json() + "\n" for sample in samples))
    return path


@pytest.fixture
def samples(tmp_path: Path) -> list[Path]:
    """`samples.jsonl` of the two runs of a study in `tmp_path`, which agree in three tokens of four."""
    write_study(tmp_path, [("a" * 12, 1), ("b" * 12, 1)])
    folders = [write_run(tmp_path, n, run_of(each * 12)) for n, each in enumerate("ab", start=1)]
    return [write_answers(folders[0], [(1, 2), (3, 4)]), write_answers(folders[1], [(1, 2), (3, 9)])]


def test_claim_9_4_a_study_folder_tells_how_far_its_experiments_agree_in_file_and_table(
    tmp_path: Path, samples: list[Path]
) -> None:
    study = open_study(tmp_path)
    [agreement] = json.loads(study.model_dump_json())["agreement"]
    assert agreement == {
        "experiment_id": "b" * 12,
        "reference": "a" * 12,
        "requests": 2,
        "identical_requests": 1,
        "tokens": 4,
        "equal_tokens": 3,
        "equal_share": 0.75,
    }
    said = f"Output tokens equal to those of {'a' * 12}, in the first answers: {'b' * 12} 75 % of 4"
    assert said in summarise(study).notes


@pytest.mark.parametrize(
    "content", [b"", b"\xff\n", b"{}\n", b'{"index": 0, "input_tokens": 1, "output_token_ids": "x", "text": ""}\n']
)
def test_claim_9_4_answers_that_cannot_be_believed_are_not_compared(
    tmp_path: Path, samples: list[Path], content: bytes
) -> None:
    samples[1].write_bytes(content)
    assert open_study(tmp_path).agreement == ()


def test_claim_9_4_no_link_is_followed_to_an_answer(tmp_path: Path, samples: list[Path]) -> None:
    samples[1].unlink()
    samples[1].symlink_to(samples[0])
    assert open_study(tmp_path).agreement == ()


def test_claim_9_4_of_many_experiments_the_table_names_those_that_agree_least() -> None:
    others = [Answered(run_of(f"{n:012d}"), [[0] * n + [1] * (10 - n)]) for n in range(1, 9)]
    found = tuple(agreements([Answered(run_of("a" * 12), [[0] * 10]), *others]))
    study = of_runs([run_of("a" * 12)]).model_copy(update={"agreement": found})
    [note] = [note for note in summarise(study).notes if "equal to those" in note]
    assert note.endswith(f"{5:012d} 50 % of 10, 3 more in study_result.json")
    assert f"{1:012d} 10 % of 10" in note
    assert f"{6:012d}" not in note
