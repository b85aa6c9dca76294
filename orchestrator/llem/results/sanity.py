"""Numbers that cannot be true together, whoever wrote them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import DeviceEnergy, Energy

# The clocks' and the additions' rounding, relative.
_ROUNDING = 1e-6
_WINDOW_TOLERANCE_S = 0.01


def implausible(result: ExperimentResult) -> str | None:
    """The first contradiction in a result, in words; None where there is none."""
    return next(_contradictions(result), None)


def _contradictions(result: ExperimentResult) -> Iterator[str]:
    window, tokens, requests = result.window, result.tokens, result.requests
    length_s = window.end_unix_s - window.start_unix_s
    if length_s <= 0:
        yield "the window ends before it begins"
    if abs(length_s - window.duration_s) > _WINDOW_TOLERANCE_S + _ROUNDING * length_s:
        yield f"window.duration_s is {window.duration_s:g}, but its ends are {length_s:g} s apart"
    spans = [(each.start_unix_s, each.end_unix_s) for each in result.passes]
    spans += [(each.start_unix_s, each.end_unix_s) for each in result.phases]
    if any(end_s < start_s for start_s, end_s in spans):
        yield "a pass or a phase ends before it begins"
    if tokens.total != tokens.input + tokens.output:
        yield f"tokens.total is {tokens.total}, but input and output are {tokens.input + tokens.output}"
    if tokens.cached is not None and not 0 <= tokens.cached <= tokens.input:
        yield f"tokens.cached is {tokens.cached} of {tokens.input} input tokens"
    fixed = _fixed_output(result)
    if fixed is not None and tokens.output != fixed:
        yield f"tokens.output is {tokens.output}, but {requests.completed} requests of a fixed length make {fixed}"
    if requests.completed > requests.total:
        yield f"{requests.completed} of {requests.total} requests are said to be completed"
    yield from _energy("energy", result.energy)
    for index, device in enumerate(result.energy.devices):
        yield from _energy(f"energy.devices.{index}", device)


def _fixed_output(result: ExperimentResult) -> int | None:
    """Output tokens that the completed requests must have, all of them together; None where they may end early."""
    config = result.experiment
    if not config.output_fixed:
        return None
    # Several answers to a prompt count together; beam search gives one, whatever `n` says.
    answers = (config.vllm.sampling.n or 1) if config.vllm and not config.vllm.beam_search else 1
    return result.requests.completed * answers * config.output_limit


def _energy(name: str, energy: Energy | DeviceEnergy) -> Iterator[str]:
    total, lower, upper = energy.total_j, energy.lower_j, energy.upper_j
    if total is None:
        if lower is not None or upper is not None:
            yield f"{name} has bounds but no total_j"
        return
    slack = _ROUNDING * abs(total)
    if total < 0:
        yield f"{name}.total_j is negative"
    if lower is not None and lower > total + slack:
        yield f"{name}.lower_j is above total_j"
    if upper is not None and upper < total - slack:
        yield f"{name}.upper_j is below total_j"
