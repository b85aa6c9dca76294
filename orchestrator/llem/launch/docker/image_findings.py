"""Whether an image has what runs need, judged by what a look inside said. Pure.

ok        it is there
warning   runs begin, and some of them may fail, or nobody knows
missing   no run would come to an end
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from llem.launch.docker.engine_versions import (
    ACCELERATE,
    ENGINES,
    LEAST_PYDANTIC,
    LEAST_PYTHON,
    EnginePackage,
    is_older,
)
from llem.launch.docker.image_facts import ImageFacts, ImageLook
from llem.launch.docker.image_names import architecture_of

Level = Literal["ok", "warning", "missing"]

_OF_THE_ENGINE = "llem asks the engine for a tmpfs there that can be written and executed: see the engine's settings."


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy`: what to do, empty where nothing is to be done."""

    level: Level
    subject: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """In a sentence or two."""
        return f"{self.subject}: {self.message}. {self.remedy}".strip()


def backends_in(facts: ImageFacts) -> tuple[str, ...]:
    """The backends all of whose packages are there, in whatever version."""
    return tuple(name for name, packages in ENGINES.items() if all(_version(facts, each) for each in packages))


def no_engine() -> Finding:
    """An image that has the engine of no backend."""
    wanted = " nor ".join(f"{' and '.join(packages)} (backend {name})" for name, packages in ENGINES.items())
    return Finding("missing", "engine", f"none is installed for this Python: neither {wanted}")


def judge(facts: ImageFacts, backends: Collection[str], architecture: str) -> Iterator[Finding]:
    """What is to be said of an image for these backends on an engine's machine that executes `architecture` (`amd64`).

    Without backends their packages are not judged.
    """
    yield from _architecture(facts, architecture)
    yield _python(facts)
    if is_older(facts.python, LEAST_PYTHON):
        # What is installed for that Python would have to be installed anew for another one.
        return
    yield from _closed(facts)
    yield _package(facts, "pydantic", EnginePackage(LEAST_PYDANTIC, LEAST_PYDANTIC, "reading what a run is asked for"))
    if not facts.pynvml:
        yield Finding("missing", "pynvml", "llem's own is mounted, and Python does not look for it in PYTHONPATH")
    yield from judge_engines(facts, backends)
    if backends:
        yield from _compiling(facts)


def judge_engines(facts: ImageFacts, backends: Collection[str]) -> Iterator[Finding]:
    """Of the packages of these backends alone."""
    packages = {name: package for backend in backends for name, package in ENGINES[backend].items()}
    for name, package in packages.items():
        yield _package(facts, name, package)
    if "pytorch" in backends and _has_gpu_build(facts):
        yield _package(facts, "accelerate", ACCELERATE)


def judge_container(look: ImageLook) -> Iterator[Finding]:
    """The same of the container that a look was made in."""
    for folder in look.unwritable:
        yield Finding("missing", folder, f"user {look.image.uid} cannot write there", _OF_THE_ENGINE)
    for folder in look.noexec:
        yield Finding("warning", folder, "what is compiled into it cannot be loaded (noexec)", _OF_THE_ENGINE)


def _architecture(facts: ImageFacts, architecture: str) -> Iterator[Finding]:
    own = architecture_of(facts.machine)
    if architecture and own != architecture:
        yield Finding(
            "missing",
            "architecture",
            f"its Python is for {own} and this machine is {architecture}: what would be measured is an emulator",
            f"Pull or build it with --platform linux/{architecture}",
        )


def _python(facts: ImageFacts) -> Finding:
    where = f" ({facts.python_path})" if facts.python_path else ""
    if is_older(facts.python, LEAST_PYTHON):
        return Finding(
            "missing",
            "python",
            f"python3 is {facts.python}{where}, and {LEAST_PYTHON} or newer is needed",
            _newer_python(facts),
        )
    what = ", ".join(filter(None, (facts.implementation, facts.machine, facts.libc)))
    return Finding("ok", "python", f"{facts.python}{where}, {what}")


def _newer_python(facts: ImageFacts) -> str:
    needed = f"pydantic {LEAST_PYDANTIC} or newer and the engine are needed for that one"
    if facts.other_pythons:
        return f"RUN ln -sf {shlex.quote(facts.other_pythons[0])} /usr/local/bin/python3 ({needed})"
    return f"Take an image with a newer Python ({needed})."


def _closed(facts: ImageFacts) -> Iterator[Finding]:
    if facts.unreadable:
        paths = " ".join(map(shlex.quote, facts.unreadable))
        yield Finding(
            "missing",
            "permissions",
            f"user {facts.uid}, whom runs are of, may not read {', '.join(facts.unreadable)}",
            f"RUN chmod -R a+rX {paths}",
        )


def _package(facts: ImageFacts, name: str, package: EnginePackage) -> Finding:
    version = _version(facts, name)
    install = f"RUN python3 -m pip install '{name}>={package.tested}'"
    if version is None:
        return Finding("missing", name, f"not installed{_or_hidden(facts)}", install)
    if is_older(version, package.least):
        wanted = f"{package.least} or newer is needed for {package.needed_for}"
        return Finding("missing", name, f"{version} is too old: {wanted}", install)
    if is_older(version, package.tested):
        return Finding("warning", name, f"{version} may do; {package.tested} is the oldest that llem is tested with")
    return Finding("ok", name, version + (_built_for(facts) if name == "torch" else ""))


def _or_hidden(facts: ImageFacts) -> str:
    """Where else a package may be, if somebody is sure that he installed it."""
    if facts.closed_path:
        return f", unless it is that of {', '.join(facts.closed_path)} on its PATH, closed to user {facts.uid}"
    return f", or not for user {facts.uid}: a package in root's home is nobody else's" if facts.uid else ""


def _has_gpu_build(facts: ImageFacts) -> bool:
    return bool(facts.torch_cuda or facts.torch_rocm)


def _version(facts: ImageFacts, name: str) -> str | None:
    """Builds for the CPU alone have a name of their own."""
    return facts.packages.get(name) or facts.packages.get(f"{name}-cpu")


def _built_for(facts: ImageFacts) -> str:
    if facts.torch_cuda:
        return f", built for CUDA {facts.torch_cuda}"
    return f", built for ROCm {facts.torch_rocm}" if facts.torch_rocm else ", built without CUDA"


def _compiling(facts: ImageFacts) -> Iterator[Finding]:
    # Triton makes kernels for GPUs with a C compiler, TorchInductor those for CPUs with a C++ compiler.
    kind, compiler = ("C", facts.c_compiler) if facts.torch_cuda else ("C++", facts.cxx_compiler)
    absent = [*([] if compiler else [f"a {kind} compiler"]), *([] if facts.python_headers else ["Python's headers"])]
    if not absent:
        yield Finding("ok", "compiler", f"{compiler}, with Python's headers")
        return
    yield Finding(
        "warning",
        "compiler",
        f"without {' and '.join(absent)} nothing can be compiled on the spot: pytorch.torch_compile, and vllm but for "
        "vllm.engine.enforce_eager",
        "In Debian's words: RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev",
    )
