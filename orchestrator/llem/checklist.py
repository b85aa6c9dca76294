"""What was checked before the first run, and what came of it: everything that is wrong is told at once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

from llem.errors import NotReadyError

Status = Literal["ok", "warning", "failed", "skipped"]
ENGINE = "engine"
"""The check whether a container engine answers, and is new enough."""
GPUS = "GPUs"
"""The check whether runs can have the GPUs that they ask for."""
NO_GPUS = "none: runs use the CPU"

_SIGNS: dict[Status, str] = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}


@dataclass(frozen=True)
class Finding:
    """What came of one check. `remedy`: what to do, empty where there is nothing or `message` says it as well.

    A warning stops nothing; a check is skipped where what it would look at is not there.
    """

    check: str
    status: Status
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """JSON values by field."""
        return asdict(self)

    def __str__(self) -> str:
        line = f"{_SIGNS[self.status]} {self.check}: {self.message}" if self.message else f"✓ {self.check}"
        return f"{line}\n    {self.remedy}" if self.remedy else line


class MachineNotReady(NotReadyError):
    """Something that was checked before the first run is wrong. The message names all of it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        failed = [finding for finding in findings if finding.status == "failed"]
        checks = "1 check" if len(findings) == 1 else f"{len(findings)} checks"
        lines = [f"This machine is not ready: of {checks} {len(failed)} failed, and nothing was started."]
        lines += [str(finding) for finding in findings if finding.status != "ok"]
        super().__init__("\n".join(lines))


class Checklist:
    """Findings in the order in which they were made.

    `judging`: whether to make checks, too, that nothing which is to come needs: they only say that it would fail.
    `fetching`: whether to fetch what is not here. `before_downloads` is called by whoever has looked at all that is
    here, and would now fetch the rest.
    """

    def __init__(self, judging: bool = True, fetching: bool = True) -> None:
        self.judging = judging
        self.fetching = fetching
        self.before_downloads: Callable[[], None] = lambda: None
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All so far."""
        return tuple(self._findings)

    @property
    def failed(self) -> bool:
        """Whether anything is wrong so far."""
        return any(finding.status == "failed" for finding in self._findings)

    @property
    def warnings(self) -> list[Finding]:
        """What stops nothing, and should be known."""
        return [finding for finding in self._findings if finding.status == "warning"]

    def stands(self, check: str) -> bool:
        """Whether nothing of a check failed or was skipped."""
        return not any(f.check == check and f.status in ("failed", "skipped") for f in self._findings)

    def ok(self, check: str, message: str = "") -> None:
        """It is as it should be."""
        self._findings.append(Finding(check, "ok", message))

    def warn(self, check: str, message: str, remedy: str = "") -> None:
        """It is not as it should be, and runs may go well all the same."""
        self._findings.append(Finding(check, "warning", message, remedy))

    def fail(self, check: str, message: str, remedy: str = "") -> None:
        """No run could go well, or none would be worth anything."""
        self._findings.append(Finding(check, "failed", message, remedy))

    def skip(self, check: str, why: str) -> None:
        """It could not be looked at."""
        self._findings.append(Finding(check, "skipped", f"not checked, {why}"))

    @contextmanager
    def noting(self, check: str) -> Iterator[None]:
        """A NotReadyError within the `with` is noted and goes no further."""
        try:
            yield
        except NotReadyError as error:
            self.fail(check, error.what, error.remedy)

    @contextmanager
    def checking(self, check: str) -> Iterator[Callable[[str], None]]:
        """The same; without one all is well. Yields a function that takes the words for that."""
        told = [""]
        with self.noting(check):
            yield lambda message: told.append(message)
            self.ok(check, told[-1])

    def raise_if_failed(self) -> None:
        """Raise MachineNotReady with all findings where one of them stops us."""
        if self.failed:
            raise MachineNotReady(self.findings)
