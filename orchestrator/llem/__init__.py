"""What does this LLM inference cost in energy, and which configuration costs least?

The names in `__all__` are stable (semantic versioning): they change only with a new major version. Everything else is
internal. `import llem` is light; the first use of a name imports what it needs.

    from llem import run_study, open_study
    study = run_study("study.yaml")          # runs it, and returns typed results
    study.to_arrow()                          # one row a run: the columns of results.parquet
    open_study("results/…").experiments[0]    # an earlier study, read back
"""

from typing import TYPE_CHECKING

from llem.errors import LlemError, NotReadyError, UsageError
from llem.version import __version__

if TYPE_CHECKING:
    from llem.api import load_study, run_experiment, run_study
    from llem.results.open_study import open_study
    from llem.results.study_result import StudyResult
    from llem_runner.contract import ExperimentConfig, ExperimentResult

_HOMES = {
    "load_study": "llem.api",
    "run_study": "llem.api",
    "run_experiment": "llem.api",
    "open_study": "llem.results.open_study",
    "StudyResult": "llem.results.study_result",
    "ExperimentConfig": "llem_runner.contract",
    "ExperimentResult": "llem_runner.contract",
}

__all__ = [
    "ExperimentConfig",
    "ExperimentResult",
    "LlemError",
    "NotReadyError",
    "StudyResult",
    "UsageError",
    "__version__",
    "load_study",
    "open_study",
    "run_experiment",
    "run_study",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import llem` and `llem --help` stay fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'llem' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
