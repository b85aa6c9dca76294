"""Does for simulated GPUs what NVIDIA's hook does for real ones: run by `runc-sim` before a container is created.

    python3 runc_sim.py SETTINGS RUNC_ARGUMENT…

Edits `config.json` of the bundle that the arguments name. Stands alone: the standard library only, started once a
container. SETTINGS is JSON: `library` (file), `boards` (folder with nvml.conf), `environment` (file with KEY=VALUE
lines, or null).
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

HOOK = "nvidia-container-runtime-hook"
LIBRARY_IN_CONTAINER = f"/usr/lib/{platform.machine()}-linux-gnu/libnvidia-ml.so.1"
BOARDS_IN_CONTAINER = "/run/llem-simulated-gpus"


def asks_for_nvml(config: dict[str, Any]) -> bool:
    """Whether the engine put NVIDIA's hook into the container, and with the capability that brings NVML.

    A variable alone does nothing, as with real GPUs: many images set NVIDIA_VISIBLE_DEVICES.
    """
    hooks = config.get("hooks", {}).get("prestart", [])
    if not any(Path(hook["path"]).name == HOOK for hook in hooks):
        return False
    variables = dict(line.split("=", 1) for line in config["process"]["env"] if "=" in line)
    capabilities = variables.get("NVIDIA_DRIVER_CAPABILITIES") or "utility,compute"
    return bool({"utility", "all"} & set(capabilities.split(",")))


def with_simulated_gpus(config: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The container's configuration with the library, the boards' settings, and the variables that go with them."""
    mounts = [(settings["library"], LIBRARY_IN_CONTAINER), (settings["boards"], BOARDS_IN_CONTAINER)]
    added = [
        {"destination": inside, "type": "bind", "source": outside, "options": ["rbind", "ro", "nosuid", "nodev"]}
        for outside, inside in mounts
    ]
    environment = [f"LLEM_TEST_NVML_CONFIG={BOARDS_IN_CONTAINER}/nvml.conf", "LLEM_SIMULATED_NVML=1"]
    if settings["environment"]:
        lines = Path(settings["environment"]).read_text(encoding="utf-8").splitlines()
        environment += [line for line in lines if "=" in line and not line.startswith("#")]
    replaced = {line.split("=", 1)[0] for line in environment}
    kept = [line for line in config["process"]["env"] if line.split("=", 1)[0] not in replaced]
    process = {**config["process"], "env": [*kept, *environment]}
    return {**config, "mounts": [*config["mounts"], *added], "process": process}


def bundle_of(arguments: list[str]) -> Path:
    """The bundle that runc's arguments name; the working folder where they name none."""
    for position, argument in enumerate(arguments):
        if argument in ("--bundle", "-b"):
            return Path(arguments[position + 1])
        if argument.startswith("--bundle="):
            return Path(argument.removeprefix("--bundle="))
    return Path.cwd()


def main(settings_file: str, arguments: list[str]) -> None:
    """Edit the configuration of the container that is being created, where it asks for GPUs."""
    path = bundle_of(arguments) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if not asks_for_nvml(config):
        return
    settings = json.loads(Path(settings_file).read_text(encoding="utf-8"))
    beside = path.with_name("config.json.new")
    beside.write_text(json.dumps(with_simulated_gpus(config, settings)), encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
