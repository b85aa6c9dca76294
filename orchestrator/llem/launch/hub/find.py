"""A model looked up: on the Hub, or in the cache where the Hub is not needed or not to be reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llem.launch.hub.cache import CachedRepo, is_commit
from llem.launch.hub.choice import choose
from llem.launch.hub.failures import Unavailable, cause_of, client_errors, is_unreachable, near, told, why_unreachable
from llem.launch.hub.order import HubModel
from llem.launch.model_folder import check_model_folder

_NAMED = 3


@dataclass(frozen=True)
class Found:
    """A model that can be had: at which commit, and what is still to be fetched."""

    model: HubModel
    commit: str
    files: tuple[str, ...] = ()
    """All that it needs; empty where the cache has it and nobody was asked."""
    missing_bytes: int = 0
    note: str = ""
    """What people should know of where it came from."""


def find(model: HubModel, cache: Path) -> Found:
    """Look a model up, and see that it is one and may be read, before anything large is fetched.

    Raises Unavailable, and UsageError for a model whose own code the study does not trust.
    """
    repo = CachedRepo(cache, model.repo)
    found = _found(model, repo, cache)
    if not model.adapter:
        check_model_folder(repo.snapshot(found.commit), model.code, called=model.repo)
    return found


def _found(model: HubModel, repo: CachedRepo, cache: Path) -> Found:
    commit = repo.commit_of(model.revision)
    whole = commit is not None and not repo.missing(model, commit)
    if commit is not None and whole and is_commit(model.revision):
        return Found(model, commit)
    try:
        return _on_the_hub(model, repo, cache)
    except client_errors() as raised:
        error = cause_of(raised)
        if is_unreachable(error):
            return _in_the_cache(model, repo, cache, error)
        hint = f" Commit {commit} of it is whole in the cache: --offline takes that." if whole else ""
        raise Unavailable(f"{told(error, model, cache)}{hint}") from error


def _on_the_hub(model: HubModel, repo: CachedRepo, cache: Path) -> Found:
    """Raises Unavailable for what is no model, and whatever the client does."""
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi()
    commit = api.resolve_revision(model.repo, revision=model.revision, cache_dir=cache).resolved
    info = api.model_info(model.repo, revision=commit, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or ()}
    chosen = choose(files, weights=model.weights, code=model.code)
    _check_files(model, files, bool(chosen.weights))
    # The first file: whether it may be read at all is known only now.
    hf_hub_download(model.repo, model.marker, revision=commit, cache_dir=cache)
    snapshot = repo.snapshot(commit)
    missing = [files[name] for name in chosen.all if not (snapshot / name).exists()]
    missing_bytes = sum(
        file.size or 0 for file in missing if not repo.has_blob(file.lfs.sha256 if file.lfs else file.blob_id)
    )
    return Found(model, commit, chosen.all, missing_bytes)


def _check_files(model: HubModel, files: Mapping[str, object], has_weights: bool) -> None:
    if model.marker not in files:
        other = HubModel(model.repo, adapter=not model.adapter)
        key = "lora.adapter_id" if other.adapter else "model"
        hint = f" It is a {'LoRA adapter' if other.adapter else 'model'}: name it as {key}." * (other.marker in files)
        raise Unavailable(f"{model.described} has no {model.marker} on the Hub, so it cannot be loaded.{hint}")
    if model.weights and not has_weights:
        gguf = " It has GGUF files, which these engines do not load." * any(name.endswith(".gguf") for name in files)
        raise Unavailable(
            f"{model.described} has no weights that llem takes (*.safetensors, else pytorch_model*.bin).{gguf} Choose "
            "another model."
        )


def _in_the_cache(model: HubModel, repo: CachedRepo, cache: Path, error: BaseException) -> Found:
    """What was fetched before, where the Hub gives no answer. Raises Unavailable where it is not whole."""
    why = why_unreachable(error)
    commit = repo.commit_of(model.revision)
    at = f" at {model.revision}" if model.revision else ""
    if commit is None or not repo.snapshot(commit).is_dir():
        raise Unavailable(
            f"{model.described}{at} is not in the cache ({cache}), and {why}. Fetch it where there is a network, or "
            f"copy {repo.root.name} into the cache.{near(model.repo, cache)}"
        )
    if missing := repo.missing(model, commit):
        names = ", ".join(missing[:_NAMED]) + f" and {len(missing) - _NAMED} more" * (len(missing) > _NAMED)
        raise Unavailable(
            f"{model.described}{at} is in the cache ({cache}) only in part, without {names}, and "
            f"{why}. With a network the same command fetches the rest."
        )
    return Found(model, commit, note=why)
