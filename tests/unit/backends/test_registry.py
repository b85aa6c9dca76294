"""Backends by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llem_runner.backends.registry import open_backend
from llem_runner.contract import FailureKind, RunFailed


def test_an_unknown_backend_is_a_backend_error_that_names_those_there_are() -> None:
    with pytest.raises(RunFailed, match=r"Backend sglang is not available.*pytorch") as caught:
        open_backend("sglang")
    assert caught.value.kind is FailureKind.BACKEND


def test_a_missing_package_is_a_backend_error_that_names_it_and_the_extra() -> None:
    # None in sys.modules is how Python itself marks a module that must not be imported.
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from llem_runner.backends.registry import open_backend\n"
        "from llem_runner.contract import RunFailed\n"
        "try: open_backend('pytorch')\n"
        "except RunFailed as error: print(error.kind, error.message)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("backend Backend pytorch needs torch")
    assert "llem[pytorch]" in done.stdout


def test_the_shared_code_of_all_backends_imports_no_engine() -> None:
    modules = ["registry", "protocol"]
    names = [f"llem_runner.backends.{module}" for module in modules]
    names += [f"llem_runner.workload.{module}" for module in ("builtin_models", "conversion", "synthetic", "tokens")]
    code = f"import sys, {', '.join(names)}; print(sorted({{'torch', 'transformers', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
