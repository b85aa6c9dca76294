"""Models of the Hub, fetched by the real client from a Hub on loopback: what comes, and each bad day's message."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import TOKEN, Cut, HubRepo, HubServer

from llem.errors import LlemError, NotReadyError, UsageError
from llem.launch.hub.fetch import fetch
from llem.launch.hub.order import Fetched, HubModel

TINY = HubModel("org/tiny")
WEIGHTS = bytes(range(256)) * 1200
CLIENT_CHUNK_BYTES = 10 << 20
"""The client keeps what came in pieces of this size."""
BLOCKED = b'{"model_type": "made-up", "auto_map": {"AutoConfig": "code.Config"}}'

Fetch = Callable[..., dict[HubModel, Fetched]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub with one small model, and this process's variables set for it."""
    with HubServer() as hub:
        hub.models["org/tiny"] = HubRepo(
            {
                "config.json": b'{"model_type": "llama"}',
                "tokenizer.json": b"{}",
                "model.safetensors": WEIGHTS,
                "pytorch_model.bin": b"a pickle",
                "README.md": b"# Tiny",
            }
        )
        for name, value in hub.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def said() -> list[str]:
    """The lines that a person saw."""
    return []


@pytest.fixture
def fetched(said: list[str]) -> Fetch:
    """`fetch`, with its notices kept."""

    def run(*models: HubModel, stop: Callable[[float], bool] | None = None) -> dict[HubModel, Fetched]:
        waits = threading.Event()
        return fetch(models, said.append, stop or (lambda seconds: waits.wait(seconds)))

    return run


def refused(fetched: Fetch, *models: HubModel, kind: type[LlemError] = NotReadyError) -> str:
    """The message with which these cannot be had."""
    with pytest.raises(kind) as caught:
        fetched(*models)
    return str(caught.value)


def names(model: Fetched) -> list[str]:
    """Of the files that came."""
    return sorted(path.name for path in Path(model.folder).iterdir())


def blobs(home: Path) -> list[Path]:
    return sorted((home / "hf" / "hub" / "models--org--tiny" / "blobs").iterdir())


def test_claim_10_6_a_model_comes_with_what_it_needs_at_the_commit_that_the_hub_names(
    hub: HubServer, fetched: Fetch, said: list[str]
) -> None:
    [model] = fetched(TINY).values()
    assert model.commit == hub.models["org/tiny"].commit
    assert Path(model.folder).name == model.commit
    assert names(model) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (Path(model.folder) / "model.safetensors").read_bytes() == WEIGHTS
    assert any("Fetching org/tiny, 0.3 MB" in line for line in said)


def test_claim_10_6_what_is_there_is_not_fetched_again(hub: HubServer, fetched: Fetch) -> None:
    before = fetched(TINY)
    hub.sent.clear()
    assert fetched(TINY) == before
    assert not hub.sent


def test_claim_10_6_a_commit_that_is_whole_in_the_cache_needs_no_hub_at_all(hub: HubServer, fetched: Fetch) -> None:
    [model] = fetched(TINY).values()
    hub.asked.clear()
    [again] = fetched(HubModel("org/tiny", model.commit)).values()
    assert (again, hub.asked) == (model, [])


def test_claim_10_6_a_branch_is_fetched_by_its_name(hub: HubServer, fetched: Fetch) -> None:
    hub.models["org/tiny"].branches["v1"] = ""
    [model] = fetched(HubModel("org/tiny", "v1")).values()
    assert model.commit == hub.models["org/tiny"].commit


def test_claim_10_6_dummy_weights_fetch_no_weights_and_later_real_ones_only_these(
    hub: HubServer, fetched: Fetch
) -> None:
    fetched(HubModel("org/tiny", weights=False))
    assert "model.safetensors" not in hub.sent
    hub.sent.clear()
    fetched(TINY)
    assert set(hub.sent) == {"model.safetensors"}


def test_claim_10_6_an_adapter_is_fetched_by_the_same_way(hub: HubServer, fetched: Fetch) -> None:
    hub.models["org/lora"] = HubRepo({"adapter_config.json": b"{}", "adapter_model.safetensors": b"1", "x.bin": b"2"})
    [adapter] = fetched(HubModel("org/lora", adapter=True)).values()
    assert names(adapter) == ["adapter_config.json", "adapter_model.safetensors"]


@pytest.mark.parametrize("after_bytes", [0, 2 * CLIENT_CHUNK_BYTES + 1000])
def test_claim_10_6_a_download_that_is_cut_off_goes_on_where_it_was(
    hub: HubServer, fetched: Fetch, after_bytes: int
) -> None:
    weights = WEIGHTS * 100
    hub.models["org/tiny"].files["model.safetensors"] = weights
    hub.cuts["model.safetensors"] = Cut(after_bytes)
    [model] = fetched(TINY).values()
    assert (Path(model.folder) / "model.safetensors").read_bytes() == weights
    assert hub.sent["model.safetensors"] == len(weights) + after_bytes % CLIENT_CHUNK_BYTES


def test_claim_10_6_a_half_downloaded_model_keeps_its_whole_files_and_the_next_llem_fetches_the_rest(
    hub: HubServer, fetched: Fetch, tmp_path: Path
) -> None:
    hub.before_file = lambda name: stopped.set() if name == "model.safetensors" else None
    hub.cuts["model.safetensors"] = Cut(1000, times=100)
    stopped = threading.Event()
    with pytest.raises(NotReadyError, match="Stopped"):
        fetched(TINY, stop=lambda seconds: stopped.wait(seconds))
    hub.before_file, hub.cuts = lambda name: None, {}
    hub.sent.clear()
    fetched(TINY)
    assert "config.json" not in hub.sent
    assert not [path for path in blobs(tmp_path) if path.name.endswith(".incomplete")]


def test_claim_10_6_two_llems_that_want_one_model_both_get_it_whole(hub: HubServer, fetched: Fetch) -> None:
    together = threading.Barrier(2)
    got: list[Fetched] = []

    def one() -> None:
        together.wait()
        got.extend(fetched(TINY).values())

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2
    assert got[0] == got[1]
    assert (Path(got[0].folder) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.sent["model.safetensors"] == len(WEIGHTS)


def test_claim_10_6_a_gated_model_without_a_token_says_how_to_log_in_and_where_to_ask(
    hub: HubServer, fetched: Fetch
) -> None:
    hub.models["org/tiny"].gated = True
    words = refused(fetched, TINY)
    assert "Model org/tiny is gated, and no token was found" in words
    assert f"{hub.address}/org/tiny" in words
    assert "hf auth login" in words


def test_claim_10_6_a_gated_model_that_was_not_granted_says_so_and_fetches_nothing(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.models["org/tiny"].gated = True
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    words = refused(fetched, TINY)
    assert "is gated, and your token has no access" in words
    assert TOKEN not in words
    assert not hub.sent


@pytest.mark.parametrize("kept", ["variable", "file"])
def test_claim_10_6_a_granted_token_is_found_in_the_usual_places(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: str
) -> None:
    repo = hub.models["org/tiny"]
    repo.gated, repo.granted = True, frozenset({TOKEN})
    if kept == "variable":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(TOKEN)
    fetched(TINY)
    assert hub.tokens == {TOKEN}


def test_claim_10_6_a_token_that_the_hub_does_not_accept_is_told_apart(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "expired")
    assert "does not accept your token for org/tiny (401)" in refused(fetched, TINY)


def test_claim_10_6_what_may_not_be_asked_for_any_more_and_is_whole_in_the_cache_can_be_had_offline(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fetched(TINY)
    del hub.models["org/tiny"]
    assert f"Commit {before[TINY].commit} of it is whole in the cache: --offline takes that" in refused(fetched, TINY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetched(TINY) == before


@pytest.mark.parametrize("token", ["", TOKEN])
def test_claim_10_6_a_misspelt_model_is_told_with_the_nearest_of_the_cache(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    fetched(TINY)
    monkeypatch.setenv("HF_TOKEN", token)
    words = refused(fetched, HubModel("org/Tinny"))
    assert "Model org/Tinny is no folder here, and does not exist on" in words
    assert "Did you mean org/tiny?" in words
    assert "Did you mean" not in refused(fetched, HubModel("nobody/knows-this-one"))


def test_claim_10_6_a_revision_that_does_not_exist_is_named(hub: HubServer, fetched: Fetch) -> None:
    assert "Model org/tiny has no revision v9" in refused(fetched, HubModel("org/tiny", "v9"))


def test_claim_10_6_everything_that_cannot_be_had_is_told_at_once_and_nothing_large_is_fetched(
    hub: HubServer, fetched: Fetch
) -> None:
    words = refused(fetched, TINY, HubModel("org/none"), HubModel("org/tiny", "v9"))
    assert "org/none" in words
    assert "v9" in words
    assert "model.safetensors" not in hub.sent


def down(hub: HubServer) -> None:
    hub.refuses = 503


def cut_off(hub: HubServer) -> None:
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"


@pytest.mark.parametrize(("day", "why"), [(down, "answers 503"), (cut_off, "cannot be reached")])
def test_claim_10_6_without_network_what_is_whole_in_the_cache_is_used_with_a_note(
    hub: HubServer, fetched: Fetch, said: list[str], day: Callable[[HubServer], None], why: str
) -> None:
    before = fetched(TINY)
    day(hub)
    assert fetched(TINY) == before
    assert any("from the cache: 127.0.0.1:" in line and why in line for line in said)


def test_claim_10_6_without_network_what_is_not_in_the_cache_is_told(hub: HubServer, fetched: Fetch) -> None:
    hub.refuses = 503
    words = refused(fetched, TINY)
    assert "Model org/tiny is not in the cache (" in words
    assert "answers 503" in words


def test_claim_10_6_without_network_a_model_that_is_there_in_part_names_what_is_missing(
    hub: HubServer, fetched: Fetch
) -> None:
    fetched(HubModel("org/tiny", weights=False))
    hub.refuses = 503
    assert "only in part, without model.safetensors, and" in refused(fetched, TINY)


def test_claim_10_6_offline_asks_nobody(hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fetched(TINY)
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetched(TINY) == before
    assert "nothing is to be fetched (--offline, or HF_HUB_OFFLINE)" in refused(fetched, HubModel("org/other"))
    assert not hub.asked


def test_claim_10_6_a_download_that_breaks_off_for_good_says_that_the_rest_can_be_fetched(
    hub: HubServer, fetched: Fetch
) -> None:
    hub.before_file = lambda name: setattr(hub, "refuses", 503 if name == "model.safetensors" else None)
    hub.cuts["model.safetensors"] = Cut(1000, times=100)
    words = refused(fetched, TINY)
    assert "The download of org/tiny broke off" in words
    assert "Whole files are kept" in words


def test_claim_10_6_something_that_is_no_hub_is_told_with_the_variable_that_names_it(
    hub: HubServer, fetched: Fetch
) -> None:
    hub.page = b"<html>Please log in to this network</html>"
    words = refused(fetched, TINY)
    assert "HF_ENDPOINT" in words
    assert "<html>" not in words


def test_claim_10_6_a_model_whose_code_is_not_trusted_is_the_studys_fault_before_its_weights_come(
    hub: HubServer, fetched: Fetch
) -> None:
    hub.models["org/tiny"].files |= {"config.json": BLOCKED, "code.py": b"print(1)"}
    words = refused(fetched, TINY, kind=UsageError)
    assert "model org/tiny brings Python code of its own" in words
    assert "model.safetensors" not in hub.sent
    [model] = fetched(HubModel("org/tiny", code=True)).values()
    assert (Path(model.folder) / "code.py").read_bytes() == b"print(1)"


def test_claim_10_6_code_that_lies_in_another_repository_is_told_since_no_run_could_fetch_it(
    hub: HubServer, fetched: Fetch
) -> None:
    hub.models["org/tiny"].files["config.json"] = BLOCKED.replace(b"code.Config", b"org/other--code.Config")
    words = refused(fetched, HubModel("org/tiny", code=True), kind=UsageError)
    assert "takes its code from another model on the Hub (org/other" in words


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.safetensors": b"1"}, "has no config.json"),
        ({"adapter_config.json": b"{}"}, "It is a LoRA adapter: name it as lora.adapter_id"),
        ({"config.json": b"{}", "model.gguf": b"1"}, "has no weights that llem takes"),
    ],
)
def test_claim_10_6_what_is_no_model_that_could_be_loaded_is_refused_before_it_comes(
    hub: HubServer, fetched: Fetch, files: dict[str, bytes], words: str
) -> None:
    hub.models["org/tiny"] = HubRepo(files)
    assert words in refused(fetched, TINY)


def test_claim_10_6_a_cache_that_is_not_ours_to_write_is_told(
    hub: HubServer, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where not even root may make a folder.
    monkeypatch.setenv("HF_HOME", "/sys/llem")
    words = refused(fetched, TINY)
    assert "cannot be put into the cache" in words
    assert "HF_HOME" in words


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache on a disk of 70 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a disk of its own needs root")
    monkeypatch.setenv("HF_HOME", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_claim_10_6_a_cache_that_cannot_be_written_serves_what_is_whole_in_it(
    hub: HubServer, fetched: Fetch, small_disk: Path
) -> None:
    before = fetched(TINY)
    hub.models["org/other"] = HubRepo({"config.json": b"{}", "model.safetensors": b"1"})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert fetched(TINY) == before
    words = refused(fetched, HubModel("org/other"))
    assert "Model org/other cannot be put into the cache" in words
    assert "Read-only file system" in words


def test_claim_10_6_a_disk_too_small_is_found_out_before_anything_large_is_fetched(
    hub: HubServer, fetched: Fetch, small_disk: Path
) -> None:
    hub.models["org/tiny"].files["model.safetensors"] = bytes(20_000_000)
    words = refused(fetched, TINY)
    assert "has 73.4 MB free, and 20.0 MB are still to be fetched (org/tiny)" in words
    assert "model.safetensors" not in hub.sent


def test_claim_10_6_a_disk_that_fills_up_meanwhile_is_told_and_whole_files_stay(
    hub: HubServer, fetched: Fetch, small_disk: Path
) -> None:
    def fill(name: str) -> None:
        if name == "model.safetensors":
            with (small_disk / "other").open("wb") as other, pytest.raises(OSError, match="No space"):
                while True:
                    other.write(bytes(1 << 20))
                    other.flush()

    hub.models["org/tiny"].files["model.safetensors"] = bytes(5_000_000)
    hub.before_file = fill
    words = refused(fetched, TINY)
    assert "is full: org/tiny was not fetched whole. Whole files are kept" in words
    (small_disk / "other").unlink()
    hub.before_file = lambda name: None
    hub.sent.clear()
    fetched(TINY)
    assert "config.json" not in hub.sent
