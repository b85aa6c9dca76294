"""What the experiments of a study need of the Hub, each model once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem.execution.hub_models import adapter_key, model_key, wanted
from llem.launch.hub.order import HubModel
from llem_runner.contract import ExperimentConfig


def config(**keys: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"model": "org/tiny", **keys})


def test_claim_10_6_experiments_that_share_a_model_share_its_download_with_all_that_any_of_them_needs(
    tmp_path: Path,
) -> None:
    shared = [config(weights="dummy"), config(n=5), config(weights="dummy", trust_remote_code=True)]
    assert wanted(shared, tmp_path) == {"org/tiny": HubModel("org/tiny", weights=True, code=True)}
    assert wanted(shared[:1], tmp_path) == {"org/tiny": HubModel("org/tiny", weights=False)}


def test_claim_10_6_revisions_of_one_model_and_adapters_are_models_of_their_own(tmp_path: Path) -> None:
    named = [config(), config(revision="v1"), config(lora={"adapter_id": "org/lora"})]
    assert set(wanted(named, tmp_path).values()) == {
        HubModel("org/tiny"),
        HubModel("org/tiny", "v1"),
        HubModel("org/lora", adapter=True),
    }
    assert len({model_key(each) for each in named}) == 2


def test_claim_10_6_a_folder_of_that_name_comes_before_the_hub_and_builtin_models_need_none(tmp_path: Path) -> None:
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    assert wanted([config(), config(model="builtin:tiny-llama")], tmp_path) == {}


def test_claim_10_6_an_adapters_folder_and_id_of_the_same_name_are_told_apart() -> None:
    by_path, by_id = (config(lora={key: "org/lora"}) for key in ("adapter_path", "adapter_id"))
    assert adapter_key(by_path) != adapter_key(by_id)
    assert adapter_key(config()) is None
