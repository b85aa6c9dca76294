"""nvidia-ml-py in a process of its own, since it loads the library once per process: questions in, answers out."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NvmlFailure:
    """An answer that was an NVMLError. `code` is its number."""

    code: int


class NvmlProcess:
    """A child that calls pynvml functions by name; a context manager that ends it.

    `env` is added to this process's environment. Nothing is called by itself; `opened` starts one with nvmlInit.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors = ""

    @classmethod
    def opened(cls, env: dict[str, str]) -> NvmlProcess:
        """A process in which nvmlInit has succeeded."""
        process = cls(env)
        answer = process.ask("nvmlInit")
        if answer is not None:
            process.__exit__()
            raise RuntimeError(f"nvmlInit answered {answer}: {process.errors}")
        return process

    def __enter__(self) -> NvmlProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.errors = self._child.communicate(timeout=30)[1]

    def ask(self, function: str, *arguments: Any, uuid: str | None = None, times: int = 1) -> Any:
        """Call `pynvml.<function>`, with the device of `uuid` first where one is given, and return what it returned.

        Structures come as dicts, field values as `{id, scope, timestamp, code, value}`, errors as NvmlFailure. With
        `times` above 1 the answers of that many calls come as a list.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        question = {"function": function, "arguments": arguments, "uuid": uuid, "times": times}
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        answers = [NvmlFailure(a["failure"]) if "failure" in a else a["value"] for a in json.loads(self._line())]
        return answers[0] if times == 1 else answers

    def _line(self) -> str:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the NVML process ended: {self._child.communicate()[1]}")
        return line


def _answer(question: dict[str, Any], devices: dict[str, Any]) -> dict[str, Any]:
    import pynvml

    uuid = question["uuid"]
    try:
        arguments = [tuple(a) if isinstance(a, list) else a for a in question["arguments"]]
        if uuid is not None:
            if uuid not in devices:
                devices[uuid] = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            arguments = [devices[uuid], *arguments]
        return {"value": _plain(getattr(pynvml, question["function"])(*arguments))}
    except pynvml.NVMLError as error:
        return {"failure": error.value}


def _plain(value: Any) -> Any:
    import pynvml

    if isinstance(value, ctypes.Array):
        return [_plain(item) for item in value]
    if isinstance(value, pynvml.c_nvmlFieldValue_t):
        wide = value.valueType == pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
        return {
            "id": value.fieldId,
            "scope": value.scopeId,
            "timestamp": value.timestamp,
            "code": value.nvmlReturn,
            "value": value.value.ullVal if wide else value.value.uiVal,
        }
    if isinstance(value, ctypes.Structure):
        return {name: _plain(getattr(value, name)) for name, *_ in value._fields_}
    if isinstance(value, pynvml.nvmlFriendlyObject):
        return vars(value)
    if isinstance(value, ctypes._Pointer):
        return "device"
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    """Answer the questions on standard input, one JSON line each, until it ends."""
    devices: dict[str, Any] = {}
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps([_answer(question, devices) for _ in range(question["times"])]), flush=True)


if __name__ == "__main__":
    main()
