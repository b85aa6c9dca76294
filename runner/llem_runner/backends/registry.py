"""Backend name → backend. The one module an experiment asks for is imported, and no other."""

from __future__ import annotations

import importlib
import sys

from llem_runner.backends.protocol import Backend
from llem_runner.contract import FailureKind, RunFailed

_MODULES = {"pytorch": "llem_runner.backends.pytorch.backend", "vllm": "llem_runner.backends.vllm.backend"}
"""Each module has `create() -> Backend`. An extra of the distribution has the same name as its backend."""


def open_backend(name: str) -> Backend:
    """An empty backend, ready to `load`.

    Raises `RunFailed` of kind backend where the name is unknown here or its packages cannot be imported.
    """
    if name not in _MODULES:
        raise RunFailed(
            FailureKind.BACKEND, f"Backend {name} is not available in this runner; it has: {', '.join(_MODULES)}."
        )
    try:
        module = importlib.import_module(_MODULES[name])
    except ImportError as error:
        package = (error.name or "").partition(".")[0] or "a package"
        raise RunFailed(
            FailureKind.BACKEND,
            f"Backend {name} needs {package}, which {sys.executable} cannot import ({error}). "
            f"Install it there with: pip install 'llem[{name}]'.",
        ) from error
    backend: Backend = module.create()
    return backend
