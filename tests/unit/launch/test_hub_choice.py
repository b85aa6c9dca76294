"""Which files of a model on the Hub are fetched, and when what lies in the cache is whole."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest

from llem.launch.hub.cache import CachedRepo, cached_repos
from llem.launch.hub.choice import choose
from llem.launch.hub.order import HubModel

COMMIT = "0123456789" * 4
SETTINGS = ["config.json", "merges.txt", "tokenizer.json", "tokenizer.model"]


def test_claim_10_6_of_several_formats_of_the_weights_safetensors_alone_are_fetched() -> None:
    names = ["model-1.safetensors", "model-2.safetensors", "pytorch_model.bin", "consolidated.00.pth", "model.gguf"]
    chosen = choose([*names, *SETTINGS, "flax_model.msgpack", "README.md"], weights=True, code=False)
    assert chosen.weights == ("model-1.safetensors", "model-2.safetensors")
    assert chosen.others == tuple(SETTINGS)


def test_claim_10_6_weights_of_bin_are_fetched_only_where_there_is_nothing_else_and_no_other_pickle_ever() -> None:
    pickles = ["pytorch_model-1.bin", "adapter_model.bin", "training_args.bin", "optimizer.pt", "weights.pkl", "x.ckpt"]
    assert choose(pickles, weights=True, code=False).weights == ("adapter_model.bin", "pytorch_model-1.bin")
    assert choose([*pickles, "m.safetensors"], weights=True, code=False).all == ("m.safetensors",)


def test_claim_10_6_a_second_copy_of_the_weights_and_folders_of_other_formats_stay_where_they_are() -> None:
    names = ["consolidated.safetensors", "model.safetensors", "onnx/model.safetensors", "original/params.json"]
    assert choose(names, weights=True, code=False).all == ("model.safetensors",)
    assert choose(["consolidated.safetensors"], weights=True, code=False).weights == ("consolidated.safetensors",)


def test_claim_10_6_code_is_fetched_only_where_it_is_trusted_and_weights_only_where_they_are_real() -> None:
    names = [
        "config.json",
        "modeling.py",
        "parts/attention.py",
        "model.safetensors",
        "additional_chat_templates/rag.jinja",
    ]
    assert choose(names, weights=True, code=False).all == (names[-1], "config.json", "model.safetensors")
    assert set(choose(names, weights=False, code=True).all) == set(names) - {"model.safetensors"}


@pytest.fixture
def repo(tmp_path: Path) -> CachedRepo:
    """A model in the cache whose files nobody listed: an older client fetched it."""
    repo = CachedRepo(tmp_path, "org/tiny")
    for name in ("config.json", "tokenizer.json", "model-1.safetensors", "model-2.safetensors"):
        put(repo, name, "{}")
    put(
        repo,
        "model.safetensors.index.json",
        json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}),
    )
    return repo


def put(repo: CachedRepo, name: str, content: str) -> Path:
    """A file of the one commit, as the client keeps it."""
    blob, link = repo.root / "blobs" / f"of-{name}", repo.snapshot(COMMIT) / name
    for path in (blob, link):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_text(content)
    link.symlink_to(f"../../blobs/{blob.name}")
    return blob


def test_claim_10_6_a_model_in_the_cache_is_whole_if_all_that_its_index_names_is_there(repo: CachedRepo) -> None:
    model = HubModel("org/tiny")
    assert repo.missing(model, COMMIT) == []
    (repo.root / "blobs" / "of-model-2.safetensors").unlink()
    assert repo.missing(model, COMMIT) == ["model-2.safetensors"]
    assert repo.missing(HubModel("org/tiny", weights=False), COMMIT) == []


@pytest.mark.parametrize("lacking", ["config.json", "weights"])
def test_claim_10_6_a_model_without_its_configuration_or_any_weights_is_not_whole(
    repo: CachedRepo, lacking: str
) -> None:
    for blob in (repo.root / "blobs").iterdir():
        if (lacking == "weights") == ("model" in blob.name):
            blob.unlink()
    assert repo.missing(HubModel("org/tiny"), COMMIT)


def test_claim_10_6_halves_of_files_that_nobody_is_fetching_are_removed_and_others_stay(
    repo: CachedRepo, tmp_path: Path
) -> None:
    left, in_hand = (repo.root / "blobs" / f"{etag}.0a1b2c3d.incomplete" for etag in ("left", "inhand"))
    for path in (left, in_hand):
        path.write_text("half")
    locks = tmp_path / ".locks" / repo.root.name
    locks.mkdir(parents=True)
    with (locks / "inhand.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        repo.remove_leftovers()
    assert (left.exists(), in_hand.exists()) == (False, True)


def test_claim_10_6_a_blob_in_the_caches_common_store_becomes_a_file_of_the_models_own_folder(
    repo: CachedRepo, tmp_path: Path
) -> None:
    blob = repo.root / "blobs" / "of-model-1.safetensors"
    store = tmp_path / "blobs" / "ab" / "abc"
    store.parent.mkdir(parents=True)
    blob.rename(store)
    blob.symlink_to("../../blobs/ab/abc")
    repo.own_blobs()
    assert not blob.is_symlink()
    assert blob.samefile(store)
    assert (repo.snapshot(COMMIT) / "model-1.safetensors").read_text() == "{}"


def test_claim_10_6_the_models_of_a_cache_are_known_by_their_ids(repo: CachedRepo, tmp_path: Path) -> None:
    (tmp_path / "models--gpt2").mkdir()
    assert cached_repos(tmp_path) == ["gpt2", "org/tiny"]
    assert cached_repos(tmp_path / "nowhere") == []
