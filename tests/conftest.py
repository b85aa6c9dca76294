"""What all tests share: the simulated boards, and the user's folders kept out of the way."""

from __future__ import annotations

import pytest

pytest_plugins = ["simulated_nvml.fixtures"]


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Settings and variables of whoever runs the tests decide nothing in them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    for backend in ("PYTORCH", "VLLM"):
        monkeypatch.delenv(f"LLEM_RUNNER_{backend}", raising=False)
        monkeypatch.delenv(f"LLEM_IMAGE_{backend}", raising=False)
