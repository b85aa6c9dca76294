"""Makes an exchange folder ready: `in/` written, a fresh `out/`, and what an earlier attempt left set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from llem.execution.plan_file import PlannedRun
from llem_runner.contract import CONTRACT_VERSION, Allocation, Calibration, ExchangeFolder, RunOrder
from llem_runner.contract.exchange import OUT, SyntheticRecipe

Prompts = tuple[str, ...] | SyntheticRecipe


def prompts_text(prompts: Prompts) -> str:
    """The content of `in/prompts.jsonl`."""
    if isinstance(prompts, SyntheticRecipe):
        return prompts.model_dump_json() + "\n"
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in prompts)


def write_order(
    folder: Path,
    run: PlannedRun,
    attempt: int,
    nonce: str,
    prompts: Prompts,
    calibration: Mapping[str, Calibration],
) -> None:
    """Write all of `in/` but the allocation, and make an empty `out/`. Raises OSError."""
    exchange = ExchangeFolder(folder)
    exchange.inputs.mkdir(parents=True, exist_ok=True)
    _set_aside(folder)
    exchange.out.mkdir()
    order = RunOrder(
        contract_version=CONTRACT_VERSION,
        run_id=run.run_id,
        attempt=attempt,
        nonce=nonce,
        experiment=run.experiment,
        calibration=dict(calibration),
    )
    exchange.experiment.write_text(order.model_dump_json(indent=2) + "\n", encoding="utf-8")
    exchange.prompts.write_text(prompts_text(prompts), encoding="utf-8")


def read_order(folder: Path) -> RunOrder | None:
    """The last attempt that was written for a run; None where there is none, or it is torn."""
    try:
        return RunOrder.model_validate_json(ExchangeFolder(folder).experiment.read_bytes())
    except (OSError, ValueError):
        return None


def read_gpu_uuids(folder: Path) -> tuple[str, ...]:
    """The GPUs that the last attempt of a run was given; none where nothing tells."""
    try:
        return Allocation.model_validate_json(ExchangeFolder(folder).allocation.read_bytes()).gpu_uuids
    except (OSError, ValueError):
        return ()


def _set_aside(folder: Path) -> None:
    """An `out/` of an earlier attempt becomes `out.<k>`: evidence is kept, and never mistaken for the new one's."""
    stale = folder / OUT
    if not stale.exists() and not stale.is_symlink():
        return
    k = 1
    while (folder / f"{OUT}.{k}").exists():
        k += 1
    stale.rename(folder / f"{OUT}.{k}")
