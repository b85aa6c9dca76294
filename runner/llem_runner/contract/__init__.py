"""Everything that crosses the exchange folder. Pure: no clock, no engine, no NVML; host and runner both import it."""

from llem_runner.contract.calibration import Calibration
from llem_runner.contract.exchange import CONTRACT_VERSION, Allocation, ErrorReport, ExchangeFolder, RunOrder
from llem_runner.contract.experiment import ExperimentConfig
from llem_runner.contract.failures import EXIT_CODE_OF, ExitCode, FailureKind, RunFailed
from llem_runner.contract.result import ExperimentResult

__all__ = [
    "CONTRACT_VERSION",
    "EXIT_CODE_OF",
    "Allocation",
    "Calibration",
    "ErrorReport",
    "ExchangeFolder",
    "ExitCode",
    "ExperimentConfig",
    "ExperimentResult",
    "FailureKind",
    "RunFailed",
    "RunOrder",
]
