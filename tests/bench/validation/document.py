"""docs/validation.md: rendered from the measurements in tests/data/validation, and from nothing else."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.bench.accuracy import grid, table
from tests.bench.validation import words

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "validation.md"
MEASURED = ROOT / "tests" / "data" / "validation"
_SIGNIFICANT = 6

Parts = Mapping[str, Any]
"""`accuracy`, `real`, `recorder`, `gpu`: plain data as it was measured; a part that is not there was not measured."""


def write(**measured: Any) -> Path:
    """Keep the measured parts with today's date and this machine, and render the page from all that is kept."""
    MEASURED.mkdir(parents=True, exist_ok=True)
    for name, part in measured.items():
        text = json.dumps(_rounded({"made": made(), **part}), indent=1, ensure_ascii=False)
        (MEASURED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    DOCUMENT.write_text(render(kept()), encoding="utf-8")
    return DOCUMENT


def kept() -> dict[str, Any]:
    """The parts that were measured so far."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(MEASURED.glob("*.json"))}


def made() -> dict[str, str]:
    """When and on what: the date, the machine, and the versions that matter."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{_cpu()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}",
        "versions": ", ".join(_versions()),
    }


def render(parts: Parts) -> str:
    """The page."""
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Parts) -> Iterator[str]:
    yield words.HEAD
    yield from _made(parts)
    if "accuracy" in parts:
        yield from ("", _simulated(parts["accuracy"]["boards"]), "")
        yield from table.markdown(parts["accuracy"])
    if "real" in parts:
        yield from _real(parts["real"])
    yield from ("", words.RECORDER, "")
    yield from _recorder(parts.get("recorder"))
    yield from ("", words.GPU, "")
    yield from parts["gpu"]["markdown"] if "gpu" in parts else [words.GPU_MISSING]
    yield from ("", words.LIMITS)


def _made(parts: Parts) -> Iterator[str]:
    names = {"accuracy": "simulated boards", "real": "recordings of real boards", "recorder": "the recorder's cost"}
    yield ""
    yield "| part | date | made on | with |"
    yield "|---|---|---|---|"
    for name, title in names.items():
        if name in parts:
            how = parts[name]["made"]
            yield f"| {title} | {how['date']} | {how['machine']} | {how['versions']} |"
    gpu = parts.get("gpu")
    yield "| a real GPU | not run yet | – | – |" if gpu is None else _gpu_row(gpu)
    if parts.get("accuracy", {}).get("quick"):
        yield ""
        yield "The part on simulated boards is a **quick run**: one recording, a sample of the cells."


def _simulated(boards: int) -> str:
    return words.SIMULATED.format(
        boards=boards,
        jitter=100 * grid.JITTER_OF_PERIOD,
        missed=100 * grid.MISSED_STEPS,
        dropped=100 * grid.DROPPED_POLLS,
    )


def _gpu_row(gpu: Mapping[str, Any]) -> str:
    how = gpu["made"]
    return f"| a real GPU | {how['date']} | {gpu['device']} ({how['machine']}) | {how['versions']} |"


def _real(real: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", words.REAL, "")
    yield "| board | window | windows | mean error | worst | bounds hold | half-width |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    yield from (_real_row(row, row["windows"]) for row in real["windows"])
    average = {**real["average"], "load": True, "board": f"{real['average']['board']}, only its 1 s average left"}
    yield _real_row(average, 1)
    yield from ("", words.REAL_COUNTER, "")
    yield "| counter like that of | window | windows | mean error | worst | bounds hold | half-width |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    yield from (_real_row(row, row["windows"]) for row in real["counter"])
    yield from ("", words.REAL_EDGES, "")
    yield "| board | loads | mean error | worst | bounds hold | half-width |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in real["edges"]:
        yield f"| {row['board']} | {row['loads']} | {_figures(row)} |"


def _real_row(row: Mapping[str, Any], windows: int) -> str:
    length = f"whole load, {row['window_s']:.1f} s" if row.get("load") else f"{row['window_s']} s"
    return f"| {row['board']} | {length} | {windows} | {_figures(row)} |"


def _figures(row: Mapping[str, Any]) -> str:
    mean, worst, width = (f"{100 * row[name]:.2f} %" for name in ("mean", "worst", "half_width"))
    return f"{mean} | {worst} | {100 * row['hold']:.0f} % | ±{width}"


def _recorder(recorder: Mapping[str, Any] | None) -> Iterator[str]:
    if recorder is None:
        yield words.RECORDER_MISSING
        return
    yield "```text"
    yield from recorder["lines"]
    yield "```"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    for package in ("nvidia-ml-py", "zeus", "codecarbon"):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def _rounded(value: Any) -> Any:
    """The same with numbers of six digits: more would be noise in a file that is compared."""
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT}g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, (list, tuple)) else value
