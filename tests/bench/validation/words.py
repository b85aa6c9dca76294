"""The sentences of docs/validation.md; its figures come from the measurements."""

from __future__ import annotations

HEAD = """\
# Validation: how wrong may an energy be?

For somebody who has to defend a number. Every energy of llem comes with `lower_j` and `upper_j`; this page shows how
often they hold, how wide they are, how large the errors are, how other tools do in the same windows, and what none
of this can know. It is generated (`make bench-accuracy`): no figure in its tables was typed."""

SIMULATED = """\
## On boards whose energy is known exactly

**How it was made.** A simulated NVML library shows {boards} boards, up to 32 at a time. Each board's power is a
function of time whose integral is known in closed form; counters and power readings are made from it with the
period, jitter, lag and window of a real sensor. Nothing else is simulated: the recorder's own process, Zeus,
CodeCarbon and a poller each load that library through `nvidia-ml-py` and run in real time, side by side.
- **Windows** of 0.5, 1, 5 and 30 s, the same for all: Zeus's two moments of looking at the counters are the edges
  against which llem, Zeus and the trapezoid are judged. CodeCarbon has one task at a time, so a process for each
  length looks within a few milliseconds of the same moments and is judged by its own. llem's recorder is asked for a
  reading at the edges, as the runner asks at those of what it measures (it gives ten a second at most). Many of the
  square waves fit into a window a whole number of times; what a late counter misses at the start it then gets at the
  end, which favours whoever reads both ends alike.
- **Shapes** on a floor of 60–72 W: constant; square waves of 0.05–3 s, on for 10–90 %; a ramp; bursts of 20 ms;
  prefill peaks with decode plateaus. No phase of anything is in step with anything.
- **Sensors** renewed every 20, 100 or 500 ms. Counter lags: 15 ms on Hopper and 125 ms on GA100, the middles of what
  is known of them; 0 on a Blackwell and anything from 0 to 150 ms on an unknown family, where llem knows only that
  it is 0 to 150 and learns the rest from the power readings.
- **Disturbances**, on half of the boards: steps up to {jitter:.1f} % of the period early or late, {missed:.0f} % of
  the steps left out, and {dropped:.0f} % of our recorder's own readings (not of the rivals') thrown away.
- **Zeus** reads the counter at both edges. **CodeCarbon**'s offline tracker does the same; it adds boards up, and
  what it added was looked at board by board. **Trapezoid**: `nvmlDeviceGetPowerUsage` every 100 ms, integrated by
  straight lines, which is a 1 s average on Hopper and later.

Errors and half-widths are in percent of the true energy: mean over the windows, then the worst; half-widths are
medians. "llem / Zeus" is the ratio of the mean errors. A half-width says what could be wrong at most, as far as the
readings can tell; errors are mostly far smaller."""

REAL = """\
## On recordings of real boards

**How it was made.** Others recorded real boards together with an external meter (SC'24, "Part-time Power
Measurements"), or counters at the edges of loads; `tests/data/power/README.md` has sources and licences. The
recorded readings are estimated as `llem energy` does it, divided by the board's published gain, and held against the
meter. A window counts as held where the bounds reach the meter's energy within the meter's own ±(1 % + 2 W ×
length). A refusal would count as a miss. The same code is a test (`tests/unit/power/test_real_boards.py`), so it
holds on every change.

By the power readings alone (these recordings have no counter):"""

REAL_COUNTER = """\
With a counter like that of a board: the meter's energy, as a counter of 100 ms with 1.5 ms of jitter and any lag of
the family's interval would show it to readings every 47 ms: alone, and with the recorded board's own power readings
beside it, from which the lag is learnt where it is wide open."""

REAL_EDGES = """\
Real counters, with nothing but the four readings around each load of 0.25–2 s, against the load's steady power, which
is known to about 1.5 %. Four readings tell neither the counter's rhythm nor its phase, so little is known and the
bounds say so; llem's own recordings have some twenty readings a second."""

RECORDER = """\
## What the recorder costs

`make bench ARGS=recorder_cost`: the recorder on 8 simulated boards, alone and beside a busy machine."""

RECORDER_MISSING = "Not measured in this version of the page (`make bench ARGS=recorder_cost` prints it)."

GPU = """\
## On a real GPU

`make test-gpu` characterises the sensor of the GPU at hand, compares with Zeus, and measures what the recorder
costs."""

GPU_MISSING = """\
**This has not been run on a real GPU yet.** None was to be had. Everything above rests on a simulated library, on
recordings that others made, and on published lags; the analysis of `make test-gpu` itself is tested on simulated
sensors only. Whoever has a GPU: run it, then `python -m tests.bench.validation --gpu FILE` takes its file in here."""

LIMITS = """\
## The limits, in plain words

- **The bounds are about the sensor, not about the board.** They contain what the sensor integrated. A sensor may
  itself be wrong by a constant factor: ±5 % is common, −6 … +11 % was seen. That is `systematic_percent`. It does
  not shrink with longer windows or more repetitions, and the counter has it as well as the power readings. Only a
  meter on that very board takes it out (`calibration` in your settings).
- **Ratios on one board** are free of that factor. Comparing two boards is not, unless both are calibrated.
- **The counter is taken to integrate all of the power.** If some board's counter only adds up what its power reading
  sees (25 of every 100 ms on A100 and H100), a load that beats against that rhythm is miscounted, and no bound here
  knows it. `make test-gpu` tests it with a load of 52 ms on, 52 ms off.
- **Lags are intervals, from few boards.** Hopper 5–30 ms and GA100 67–179 ms come from one published set of loads;
  any other family is taken to lie between 0 and 150 ms. A board beyond its interval breaks the bounds. An unknown
  lag makes no difference to a steady load, and a large one to a short window with a changing load. Where the interval
  is wide, `total_j` uses the lag at which counter and power readings agree best, on the assumption that readings come
  5 ms after their window as on the two boards recorded with a meter; the bounds cover the whole interval all the same.
- **Without a counter** the bounds assume that a load does not repeat in step with the readings. One that does looks
  steady, and nobody could tell from 25 ms of every 100.
- **Short windows are wide.** Where the table shows ±10 % and more at 1 s, that is what is known. Measure 30 s and
  more for ±1 %; the quality levels ask for it.
- **On a module** (GH200) the counter may be the whole module's. The scope is recorded with every result.
- **The worst of a sample is not the worst there is.** Tables show windows that were tried. Bounds are made to hold
  always; "100 %" means that no window of these broke them.
- **Zeus and CodeCarbon** are measured as they are, at the versions above, and only in what is compared here. Both
  are simpler to run, and what a counter's two ends miss matters the less the longer the window is.

To defend a number: give the bounds and `systematic_percent` apart, name the board, its family and the lag used
(`energy.lag_ms`), the window's length, and the quality level; and say whether the board was calibrated, and how."""
