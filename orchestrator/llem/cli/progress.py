"""What a person sees while a study runs: two bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from llem.cli.pull_progress import PullBars, PullLines
from llem.execution.observer import Observer, RunEnding
from llem.printable import on_further_lines, on_one_line, on_own_lines, printable
from llem_runner.contract.events import Event, HeartbeatEvent, PhaseEvent, ProgressEvent, WarningEvent

if TYPE_CHECKING:
    from llem.execution.plan_file import PlannedRun
    from llem.launch.docker.pull_layers import PullState


_LEAST_COLUMNS, _LEAST_LINES = 40, 4


def observer_for(*, quiet: bool, verbose: bool) -> Observer:
    """The observer that suits standard error."""
    if quiet:
        return Observer()
    return BarObserver(verbose) if _has_room_for_bars() else LineObserver(verbose)


def _has_room_for_bars() -> bool:
    """A terminal, and one that knows its size: some of CI systems have none, and a bar would be printed as nothing."""
    if not sys.stderr.isatty():
        return False
    columns, lines = os.get_terminal_size(sys.stderr.fileno())
    return columns >= _LEAST_COLUMNS and lines >= _LEAST_LINES


class LineObserver(Observer):
    """Plain lines on standard error, for logs and pipes."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._total = 0
        self._gone = False
        self._pulls = PullLines(self.say)

    def say(self, message: str) -> None:
        """Print a line, clean whoever wrote it. A terminal that is gone must not take the study with it."""
        if self._gone:
            return
        try:
            self.print(on_own_lines(message))
        except OSError:
            self._gone = True

    def print(self, message: str) -> None:
        """Print a line, or raise OSError."""
        click.echo(message, err=True)

    def notice(self, message: str) -> None:
        # Most of them repeat somebody's words: an engine's, a library's, a file's name.
        self.say(on_further_lines(message))

    def image_pull(self, state: PullState) -> None:
        self._pulls.show(state)

    def study_started(self, folder: str, total: int, done: int) -> None:
        self._total = total
        self.say(f"Study folder: {folder}")
        if done:
            self.say(f"{done} of {total} runs are completed already.")

    def gap(self, seconds: float) -> None:
        self.say(f"Pause of {seconds:g} s")

    def run_started(self, run: PlannedRun) -> None:
        self.say(f"[{run.sequence}/{self._total}] {describe(run)}")

    def run_event(self, run: PlannedRun, event: Event) -> None:
        if isinstance(event, PhaseEvent) and self._verbose:
            self.say(f"[{run.sequence}/{self._total}]   {event.name}")
        elif isinstance(event, WarningEvent) and self._verbose:
            words = on_one_line(printable(f"{event.code}: {event.message}", 500))
            self.say(f"[{run.sequence}/{self._total}]   warning {words}")

    def run_ended(self, ending: RunEnding) -> None:
        self.say(f"[{ending.run.sequence}/{self._total}] {outcome(ending)}")
        for line in ending.last_words:
            self.say(f"    | {line}")


class BarObserver(LineObserver):
    """A bar for the study and one for the run in hand, with lines above them."""

    def __init__(self, verbose: bool) -> None:
        super().__init__(verbose)
        self._pull_bars = PullBars()
        self._study_bar: Any = None
        self._run_bar: Any = None
        self._power_w: float | None = None
        self._phase = ""

    def print(self, message: str) -> None:
        from tqdm import tqdm

        tqdm.write(message, file=sys.stderr)

    def image_pull(self, state: PullState) -> None:
        self._pulls.show(state, brief=True)
        if self._gone:
            return
        try:
            self._pull_bars.show(state)
        except OSError:
            self._gone = True

    def study_started(self, folder: str, total: int, done: int) -> None:
        from tqdm import tqdm

        super().study_started(folder, total, done)
        form = "{desc}: {n_fmt}/{total_fmt} runs |{bar}| {elapsed} so far, {remaining} left"
        try:
            self._study_bar = tqdm(total=total, initial=done, desc="study", bar_format=form, file=sys.stderr)
            self._run_bar = tqdm(total=1, bar_format="{desc}", file=sys.stderr, position=1, leave=False)
        except OSError:
            self._gone = True

    def run_event(self, run: PlannedRun, event: Event) -> None:
        super().run_event(run, event)
        if isinstance(event, HeartbeatEvent):
            self._power_w = event.power_w
        elif isinstance(event, PhaseEvent):
            self._show(event.name)
        elif isinstance(event, ProgressEvent):
            of = f" of at most {event.total:g}" if event.total else ""
            self._show(f"{event.done:g}{of} {event.unit}", append=True)

    def run_started(self, run: PlannedRun) -> None:
        super().run_started(run)
        self._phase = "starting"
        self._show("starting")

    def run_ended(self, ending: RunEnding) -> None:
        super().run_ended(ending)
        if self._study_bar is not None:
            with suppress(OSError):
                self._study_bar.update(1)
        self._show("")

    def study_ended(self) -> None:
        for bar in (self._run_bar, self._study_bar):
            if bar is not None:
                with suppress(OSError):
                    bar.close()

    def _show(self, text: str, append: bool = False) -> None:
        if self._gone or self._run_bar is None:
            return
        try:
            self._draw(text, append)
        except OSError:
            self._gone = True

    def _draw(self, text: str, append: bool) -> None:
        if not append:
            self._phase = text
        # The study's bar counts runs, minutes apart; its clock should not stand still in between.
        self._study_bar.refresh()
        power = f" · {self._power_w:.0f} W" if self._power_w is not None else ""
        self._run_bar.set_description_str(
            f"  run: {self._phase}{' · ' + text if append else ''}{power}" if text else ""
        )


def describe(run: PlannedRun) -> str:
    """A run in one line: its cycle and what sets it apart."""
    swept = ", ".join(f"{path}={value}" for path, value in run.swept.items())
    return on_one_line(f"{run.run_id} ({swept or run.experiment.model})")


def outcome(ending: RunEnding) -> str:
    """How a run ended, in one line."""
    result = ending.result
    if result is None:
        return on_further_lines(f"{ending.kind}: {ending.message}")
    energy = result.energy.per_output_token_j
    joules = f", {energy:.3g} J/output token" if energy is not None else ""
    flag = ", simulated" if result.simulated else ""
    rate = result.throughput.output_tokens_per_s
    return f"completed: {rate:.1f} output tokens/s{joules}, quality {result.quality.level}{flag}"
