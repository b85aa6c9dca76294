"""The lines of `out/events.jsonl`: how a run shows that it lives and where it is."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, TypeAdapter

from llem_runner.contract.strict import Record

PhaseName = Literal["idle", "load", "resident", "warmup", "measure", "drain"]
PHASES: tuple[PhaseName, ...] = ("idle", "load", "resident", "warmup", "measure", "drain")


class _Event(Record):
    t: float
    """CLOCK_MONOTONIC, in seconds."""


class PhaseEvent(_Event):
    """A phase begins."""

    event: Literal["phase"] = "phase"
    name: PhaseName


class ProgressEvent(_Event):
    """How much of the phase in hand is done."""

    event: Literal["progress"] = "progress"
    done: float
    total: float | None = None
    unit: Literal["prompts", "tokens", "iterations", "seconds"]


class HeartbeatEvent(_Event):
    """The recorder still reads: it says nothing of the engine."""

    event: Literal["heartbeat"] = "heartbeat"
    power_w: float | None = None
    temperature_c: float | None = None


class WarningEvent(_Event):
    """Something that a reader of the result has to know."""

    event: Literal["warning"] = "warning"
    code: str
    message: str


class LogEvent(_Event):
    """A line for the log."""

    event: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"]
    message: str


Event = Union[PhaseEvent, ProgressEvent, HeartbeatEvent, WarningEvent, LogEvent]
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
