"""Whether experiments did the same work: were given the same token ids, and answered the same, token by token. Pure.

reference   a b c d e f
other       a b c x e        4 of 6 tokens are equal: place by place, over the longer answer
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import ResultWarning
from llem_runner.contract.strict import Record

Answers = Sequence[Sequence[int]]


class Agreement(Record):
    """The answers of an experiment beside those of `reference`, the first that was asked the same."""

    experiment_id: str
    reference: str
    requests: int
    """How many were compared: both keep only some of the first."""
    identical_requests: int
    tokens: int
    equal_tokens: int
    equal_share: float


@dataclass(frozen=True)
class Answered:
    """A completed run of an experiment and the token ids of its first answers, in the order of the prompts."""

    result: ExperimentResult
    answers: Answers


def comparable(results: Iterable[ExperimentResult]) -> list[list[ExperimentResult]]:
    """One result of each experiment, by what was asked of the model; groups of one are left out.

    Answers can be compared where the same model, with the same adapter, was given the same ids and told to take the
    most likely token, under the same limits. How it was computed (backend, precision, batch) may differ.
    """
    groups: dict[str, list[ExperimentResult]] = {}
    for result in _one_each(results):
        config = result.experiment
        if result.prompt_ids_sha256 and config.weights == "real" and not config.decoder.do_sample:
            model = config.model_dump_json(include={"model", "revision", "lora", "decoder"})
            asked = f"{result.prompt_ids_sha256} {config.output_limit} {config.output_fixed} {model}"
            groups.setdefault(asked, []).append(result)
    return [group for group in groups.values() if len(group) > 1]


def agreements(answered: Iterable[Answered]) -> Iterator[Agreement]:
    """Each but the first of a comparable group beside the first; who has no answers is left out."""
    known = [each for each in answered if each.answers]
    for other in known[1:]:
        yield _agreement(known[0], other)


def different_ids(results: Iterable[ExperimentResult]) -> Iterator[ResultWarning]:
    """A warning for each experiment that was asked the same text as an earlier one and given other ids."""
    first: dict[str, ExperimentResult] = {}
    for result in _one_each(results):
        if result.prompt_ids_sha256 is None:
            continue
        reference = first.setdefault(_text_of(result), result)
        if result.prompt_ids_sha256 != reference.prompt_ids_sha256:
            yield ResultWarning(
                code="prompt_ids_differ",
                message=f"{result.experiment_id} and {reference.experiment_id} were asked the same text and given "
                "different token ids: they did not do the same work. Compare environment.packages of both "
                "(transformers, tokenizers) and environment.model.",
            )


def _agreement(reference: Answered, other: Answered) -> Agreement:
    both = list(zip(reference.answers, other.answers, strict=False))
    pairs = [pair for one, another in both for pair in zip_longest(one, another)]
    equal = sum(one == another for one, another in pairs)
    return Agreement(
        experiment_id=other.result.experiment_id or "",
        reference=reference.result.experiment_id or "",
        requests=len(both),
        identical_requests=sum(tuple(one) == tuple(another) for one, another in both),
        tokens=len(pairs),
        equal_tokens=equal,
        equal_share=equal / len(pairs) if pairs else 1.0,
    )


def _one_each(results: Iterable[ExperimentResult]) -> Iterable[ExperimentResult]:
    """The first of each experiment's, in the order of the plan."""
    first: dict[str | None, ExperimentResult] = {}
    for result in results:
        first.setdefault(result.experiment_id, result)
    return first.values()


def _text_of(result: ExperimentResult) -> str:
    """What the ids are made from: the prompts, the model's tokenizer, and what cuts and formats them."""
    names = {"model", "revision", "trust_remote_code", "dataset", "n", "dataset_order", "random_seed", "prompt_format"}
    return f"{result.experiment.input_limit} {result.experiment.model_dump_json(include=names)}"
