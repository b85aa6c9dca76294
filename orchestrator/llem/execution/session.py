"""One study being executed: what its loop needs, gathered once."""

from __future__ import annotations

from dataclasses import dataclass

from llem.execution.facts import StudyFacts
from llem.execution.folder import StudyFolder
from llem.execution.gpu_use import GpuUse
from llem.execution.interrupts import Interrupts
from llem.execution.journal import Journal
from llem.execution.manifest import Manifest
from llem.execution.observer import Observer
from llem.execution.preflight import Inputs
from llem.execution.thermal_gate import ThermalGate
from llem.execution.watch import Limits
from llem.execution.where import Launchers


@dataclass(frozen=True)
class Session:
    """A study in execution."""

    folder: StudyFolder
    facts: StudyFacts
    inputs: Inputs
    launchers: Launchers
    gpus: GpuUse
    gate: ThermalGate
    journal: Journal
    manifest: Manifest
    observer: Observer
    interrupts: Interrupts

    @property
    def limits(self) -> Limits:
        """Limits of every run."""
        return Limits(self.facts.timeout_seconds, self.facts.load_timeout_seconds, self.facts.stall_seconds)
