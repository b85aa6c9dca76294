"""`llem doctor`: what this machine has, and whether runs could begin on it. Nothing is started, and nothing fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.checklist import Checklist, Finding, MachineNotReady
from llem.errors import NotReadyError
from llem.execution.check import check_study
from llem.execution.images import places_of
from llem.execution.interrupts import Interrupts, not_interrupted
from llem.execution.launching import chosen_launchers, launch_options, wants_gpus
from llem.execution.observer import Observer
from llem.execution.preflight import Inputs
from llem.execution.readiness.models import MODELS
from llem.execution.readiness.needs import Needs
from llem.execution.readiness.preflight import Preflight
from llem.execution.where import Launchers
from llem.launch.gpu_facts import Driver, GpuMemory
from llem.launch.gpus import driver, installed_gpus, memory_of
from llem.launch.machine import machine_facts
from llem.paths import expanded
from llem.study import Study
from llem.study.keys import BACKENDS
from llem.study.settings import BackendPlace, load_settings, settings_path
from llem.study.study_keys import DockerSettings
from llem.version import __version__
from llem_runner.contract import ExperimentConfig
from llem_runner.power.boards import is_simulated


@dataclass(frozen=True)
class Patient:
    """What could run: a backend by its name, or a study by its own. `how` it would, or what failed."""

    name: str
    ready: bool
    how: str

    def to_json(self) -> dict[str, Any]:
        """JSON values by field."""
        return {"name": self.name, "ready": self.ready, "how": self.how}


@dataclass(frozen=True)
class Diagnosis:
    """All that was found. `gpus` have uuid, name, simulated, and bytes of memory where these are known."""

    facts: Mapping[str, str | None]
    gpus: tuple[Mapping[str, Any], ...]
    patients: tuple[Patient, ...]
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether the study could begin; without one, whether any backend could run, if only on the CPU."""
        return any(patient.ready for patient in self.patients)

    def to_json(self) -> dict[str, Any]:
        """As `llem doctor --json` prints it."""
        return {
            "ready": self.ready,
            "facts": dict(self.facts),
            "gpus": [dict(gpu) for gpu in self.gpus],
            "runs": [patient.to_json() for patient in self.patients],
            "findings": [finding.to_json() for finding in self.findings],
        }


def diagnose(study: Study | None, environment: Mapping[str, str] = os.environ) -> Diagnosis:
    """Look at this machine: for a study's runs, else for a small run of each backend, where settings say it runs.

    Raises UsageError for a study, settings or variables that cannot be used, InterruptedEarly.
    """
    with Interrupts() as interrupts, not_interrupted(interrupts):
        cases = [_of_study(study, environment)] if study else list(_of_backends(environment))
        seen = [_examine(case, interrupts) for case in cases]
    findings = dict.fromkeys(finding for each in seen for finding in each.findings)
    made = {finding.check for finding in findings if finding.status != "skipped"}
    nvidia = next((each.driver for each in seen if each.driver.cuda), driver())
    gpus = {gpu["uuid"]: gpu for each in seen for gpu in each.gpus} or _gpus_of_host(environment)
    return Diagnosis(
        facts={
            "llem": __version__,
            "engine": next((each.engine for each in seen if each.engine), None),
            **machine_facts(nvidia),
        },
        gpus=tuple(gpus.values()),
        patients=tuple(each.patient for each in seen),
        # What could not be looked at for one backend, another one may have had looked at.
        findings=tuple(f for f in findings if f.status != "skipped" or f.check not in made),
    )


@dataclass(frozen=True)
class _Case:
    """Runs to examine the machine for."""

    name: str
    needs: Needs
    places: Mapping[str, BackendPlace]
    docker: DockerSettings


@dataclass(frozen=True)
class _Seen:
    patient: Patient
    findings: tuple[Finding, ...]
    gpus: tuple[Mapping[str, Any], ...]
    engine: str | None
    driver: Driver


def _of_study(study: Study, environment: Mapping[str, str]) -> _Case:
    checked = check_study(study, environment, lambda _: None)
    return _Case(study.name, Needs.of_study(study, checked), checked.places, study.docker)


def _of_backends(environment: Mapping[str, str]) -> Iterator[_Case]:
    parent = expanded(load_settings(settings_path(environment)).output.folder)
    for backend, place in places_of(BACKENDS, environment).items():
        config = ExperimentConfig.model_validate({"model": "builtin:tiny-llama", "backend": backend})
        needs = Needs({backend: config}, {backend: 1}, Inputs({}, {}, {}), Path.cwd(), parent)
        yield _Case(backend, needs, {backend: place}, DockerSettings())


def _examine(case: _Case, interrupts: Interrupts) -> _Seen:
    preflight = Preflight(case.needs, judging=True, fetching=False)
    options = launch_options(case.docker, case.needs.gpus, case.needs.experiments.values())
    chosen = chosen_launchers(case.places, options, Observer(), interrupts, preflight.checklist)
    with closing(chosen) as launchers:
        with suppress(MachineNotReady):
            preflight.make_ready(launchers)
        return _Seen(
            _patient(case, launchers, preflight.checklist),
            tuple(_told(case, preflight.checklist)),
            tuple(_gpus(launchers)),
            launchers.engine_described,
            launchers.gpu_facts().driver,
        )


def _patient(case: _Case, launchers: Launchers, checklist: Checklist) -> Patient:
    if checklist.failed:
        failed = list(dict.fromkeys(f.check for f in checklist.findings if f.status == "failed"))
        return Patient(case.name, False, ", ".join(failed))
    return Patient(case.name, True, launchers.described(wants_gpus(case.needs.experiments.values())))


def _told(case: _Case, checklist: Checklist) -> Iterator[Finding]:
    """Of a backend there is no model that anybody asked for."""
    is_study = case.name not in case.needs.experiments
    return (finding for finding in checklist.findings if is_study or finding.check != MODELS)


def _gpus(launchers: Launchers) -> Iterator[dict[str, Any]]:
    memory = launchers.gpu_facts().memory
    for place in launchers.places():
        for uuid in place.gpu_uuids:
            yield _gpu(uuid, place.gpu_model or "", memory.get(uuid))


def _gpus_of_host(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Those that no run can have, but that are here."""
    with suppress(NotReadyError):
        gpus = installed_gpus(environment).gpus
        memory = memory_of([gpu.uuid for gpu in gpus])
        return {gpu.uuid: _gpu(gpu.uuid, gpu.name, memory.get(gpu.uuid)) for gpu in gpus}
    return {}


def _gpu(uuid: str, name: str, memory: GpuMemory | None) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "simulated": is_simulated(name, os.environ),
        "memory_total_bytes": memory.total_bytes if memory else None,
        "memory_used_bytes": memory.used_bytes if memory else None,
    }
