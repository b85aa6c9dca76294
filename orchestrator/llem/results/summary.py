"""The table at the end of a study: one row an experiment, as text. Pure: whoever prints it draws the lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llem.printable import printable
from llem.results.cells import cell, level_of, measure, short_names
from llem.results.same_work import Agreement
from llem.results.statistics import Statistic, statistic
from llem.results.study_result import ENERGY_PER_TOKEN, ExperimentSummary, StudyResult
from llem_runner.contract import ExperimentResult

THROUGHPUT = "throughput.output_tokens_per_s"
_NAMED = 5


@dataclass(frozen=True)
class Summary:
    """A table of text, and what has to be said below it."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def summarise(study: StudyResult) -> Summary:
    """The terminal's table of a study.

    Tokens/s and J/output token are means over the cycles ± half the 95 % interval. The host's energy stands apart from
    the GPU's, in a column that is there only where it was read, headed "(estimated)" where a model guessed it.
    """
    by_experiment: dict[str, list[ExperimentResult]] = {}
    for result in study.results:
        by_experiment.setdefault(result.experiment_id or "", []).append(result)
    swept = tuple(dict.fromkeys(path for experiment in study.experiments for path in experiment.swept))
    host = {
        each.experiment_id: host_energy_per_token(by_experiment.get(each.experiment_id, ()))
        for each in study.experiments
    }
    host_header = _host_header(study.results)
    rows = []
    for experiment in study.experiments:
        row = [experiment.experiment_id, *(cell(experiment.swept.get(path)) for path in swept)]
        row += [measure(experiment.metrics.get(THROUGHPUT)), measure(experiment.metrics.get(ENERGY_PER_TOKEN))]
        row += [measure(host[experiment.experiment_id])] if host_header else []
        row += [level_of(experiment.quality, experiment.simulated), _cycles(experiment)]
        rows.append(tuple(row))
    headers = ("experiment", *short_names(swept), "tokens/s", "J/output token", *host_header, "quality", "cycles")
    return Summary(headers, tuple(rows), tuple(_notes(study)))


def host_energy_per_token(results: Iterable[ExperimentResult]) -> Statistic:
    """CPU and memory energy of the host, in joule per output token, over the cycles."""
    return statistic([_host_j(result) for result in results])


def _host_j(result: ExperimentResult) -> float | None:
    parts = [part for part in (result.host_energy.cpu_j, result.host_energy.dram_j) if part is not None]
    return sum(parts) / result.tokens.output if parts and result.tokens.output else None


def _host_header(results: Sequence[ExperimentResult]) -> tuple[str, ...]:
    read = [result for result in results if _host_j(result) is not None]
    if not read:
        return ()
    return ("host J/token (estimated)" if any(result.host_energy.estimated for result in read) else "host J/token",)


def _cycles(experiment: ExperimentSummary) -> str:
    """Those that count, and how many do not because they failed: the lines below the table name each."""
    return f"{experiment.cycles} ({len(experiment.failed)} failed)" if experiment.failed else str(experiment.cycles)


def _notes(study: StudyResult) -> Iterable[str]:
    empty = [result for result in study.results if result.energy.per_output_token_j is None]
    if empty:
        reasons = dict.fromkeys(reason for result in empty for reason in _why_empty(result))
        yield f"GPU energy is empty in {len(empty)} of {len(study.results)} runs: {'; '.join(reasons)}"
    if any(result.host_energy.estimated for result in study.results):
        yield (
            "Host J/token is a model's estimate (CPU load × nominal power, a fixed power for memory), no measurement: "
            "it follows the duration and says little beyond it"
        )
    failed = Counter(check.name for result in study.results for check in result.quality.checks if check.passed is False)
    if failed:
        of = len(study.results)
        yield f"Quality checks that failed, of {of} runs: {', '.join(f'{name} in {n}' for name, n in failed.items())}"
    yield from _same_work(study)
    if study.simulated:
        yield "Simulated boards: the numbers show that the measurement works, not what a GPU needs."
    single = sum(experiment.cycles == 1 for experiment in study.experiments)
    if single:
        yield (
            f"One cycle only of {single} of {len(study.experiments)} experiments: no interval can be given, and a "
            "difference between two of them may be chance (execution.n_cycles: 3 or more)"
        )


def _same_work(study: StudyResult) -> Iterable[str]:
    """What was asked and answered alike. Of many experiments those are named that agree least."""
    yield from (warning.message for warning in study.warnings if warning.code == "prompt_ids_differ")
    by_reference: dict[str, list[Agreement]] = {}
    for each in study.agreement:
        by_reference.setdefault(each.reference, []).append(each)
    for reference, all_of_it in by_reference.items():
        named = sorted(all_of_it, key=lambda each: each.equal_share)[:_NAMED]
        words = [f"{each.experiment_id} {100 * each.equal_share:.4g} % of {each.tokens}" for each in named]
        more = [f"{len(all_of_it) - _NAMED} more in study_result.json"] if len(all_of_it) > _NAMED else []
        yield f"Output tokens equal to those of {reference}, in the first answers: {', '.join([*words, *more])}"


def _why_empty(result: ExperimentResult) -> Sequence[str]:
    said = [printable(each.message, 300).rstrip(".") for each in result.warnings if each.code.startswith("energy")]
    if said:
        return said
    if result.energy.total_j is not None:
        return ["no output token was produced"]
    return [
        f"no meter read a GPU (energy.source {result.energy.source}, computed on {printable(result.device.used, 40)})"
    ]
