"""The engine's side of the simulated GPUs: the hook, the OCI runtime around runc, and what they put into containers."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulated_nvml import Settings, build_library, h100
from simulated_nvml.settings import replace_text

from .packages import Programs

LIBRARY_VARIABLE = "LLEM_TEST_NVML_LIB"
"""A library file to put into containers instead of the simulated one."""
ENVIRONMENT_VARIABLE = "LLEM_TEST_NVML_ENV"
"""A file with KEY=VALUE lines for the environment of containers that ask for GPUs, read at each start."""

DEFAULT_BOARDS = Settings(boards=(h100(0), h100(1)))

_HOOK = """#!/bin/sh
# Stands where NVIDIA's hook would: that it is there makes the engine accept requests for GPUs.
refusal="${0%/*}/refusal"
test -e "$refusal" || exit 0
cat "$refusal" >&2
exit 1
"""
_RUNTIME = """#!/bin/sh
# runc, which puts the simulated GPUs into the containers that ask for some.
case " $* " in
  *" create "*) {python} -I -S {script} {settings} "$@" || exit 1 ;;
esac
exec {runc} "$@"
"""


@dataclass(frozen=True)
class SimulatedGpus:
    """Everything about them lies in `folder`; `boards` holds the settings file, mounted as a folder into containers."""

    folder: Path

    @property
    def hook(self) -> Path:
        """The folder for the daemon's PATH."""
        return self.folder / "hook"

    @property
    def runtime(self) -> Path:
        """The OCI runtime."""
        return self.folder / "runtime" / "runc-sim"

    @property
    def boards(self) -> Path:
        """The settings file of the boards: what is written there is in force some 5 ms later, in running containers."""
        return self.folder / "boards" / "nvml.conf"

    def install(self, programs: Programs, environment: Mapping[str, str]) -> None:
        """Write hook, runtime and library anew, with the overrides that `environment` names; no restart is needed."""
        for folder in (self.hook, self.runtime.parent, self.boards.parent):
            folder.mkdir(parents=True, exist_ok=True)
        script = self.runtime.parent / "runc_sim.py"
        replace_text(script, (Path(__file__).parent / script.name).read_text())
        words = {
            "python": sys.executable,
            "script": script,
            "settings": self._settings,
            "runc": programs.program("runc"),
        }
        _replace_program(self.runtime, _RUNTIME.format(**words))
        _replace_program(self.hook / "nvidia-container-runtime-hook", _HOOK)
        self.configure(environment)
        if not self.boards.exists():
            self.write(DEFAULT_BOARDS)

    def configure(self, environment: Mapping[str, str]) -> None:
        """Choose the library and the further variables for containers that start from now on."""
        library, variables = environment.get(LIBRARY_VARIABLE), environment.get(ENVIRONMENT_VARIABLE)
        settings = {
            "library": str(Path(library).resolve()) if library else str(self._own_library()),
            "boards": str(self.boards.parent),
            "environment": str(Path(variables).resolve()) if variables else None,
        }
        replace_text(self._settings, json.dumps(settings))

    def write(self, settings: Settings) -> None:
        """Put other boards, or other readings of them, in force."""
        settings.write(self.boards)

    def refuse(self, message: str | None) -> None:
        """Make the hook fail with `message`, as a broken driver does; None: work again."""
        if message is None:
            (self.hook / "refusal").unlink(missing_ok=True)
        else:
            replace_text(self.hook / "refusal", message + "\n")

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold them alone: tests of several checkouts may share an engine, and with it the boards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def for_one_test(self) -> Iterator[None]:
        """Hold them alone, with our own library and the default boards; afterwards they are as they were."""
        with self.reserved():
            found = [(path, path.read_text()) for path in (self._settings, self.boards)]
            try:
                self.configure({})
                self.write(DEFAULT_BOARDS)
                yield
            finally:
                self.refuse(None)
                for path, text in found:
                    replace_text(path, text)

    @property
    def _settings(self) -> Path:
        return self.runtime.parent / "settings.json"

    def _own_library(self) -> Path:
        """A copy of the built library: the checkout it came from may go, and running containers keep theirs."""
        built = build_library() / "libnvidia-ml.so.1"
        copy = self.folder / "library" / built.name
        copy.parent.mkdir(exist_ok=True)
        if not copy.exists() or copy.read_bytes() != built.read_bytes():
            beside = copy.with_name(f".{copy.name}.{os.getpid()}")
            shutil.copyfile(built, beside)
            beside.chmod(0o755)
            beside.replace(copy)
        return copy


def _replace_program(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.chmod(0o755)
    beside.replace(path)
