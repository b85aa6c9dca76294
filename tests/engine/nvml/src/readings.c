#include "readings.h"

#include <math.h>

static uint64_t nearest(double value)
{
    return value > 0 ? (uint64_t)floor(value + 0.5) : 0;
}

/* A counter that was frozen shows for ever what it showed then; after a reset it counts from the reset. */
uint64_t counter_mj(const struct call *call, bool module)
{
    const struct board *board = call->board;
    double epoch_s = (double)call->settings->epoch_unix_s;
    double step_s = sensor_step_s(&board->counter, fmin(call->t_s, board->counter_frozen_at_unix_s - epoch_s));
    double reset_s = board->counter_reset_at_unix_s - epoch_s;
    bool reset = step_s >= reset_s;
    double from_s = reset ? reset_s : 0, to_s = step_s - board->counter.lag_s;
    double energy_j = curve_energy_j(&board->power, to_s) - curve_energy_j(&board->power, from_s);
    if (module)
        energy_j += board->module_extra_w * (to_s - from_s);
    return nearest(board->gain * energy_j * 1000 + (reset ? 0 : board->counter_offset_mj));
}

uint32_t power_mw(const struct call *call, enum sensor_kind kind, bool module)
{
    const struct board *board = call->board;
    const struct sensor *sensor = kind == SENSOR_INSTANT ? &board->instant : &board->average;
    double power_w = sensor_mean_w(sensor, &board->power, call->t_s) + (module ? board->module_extra_w : 0);
    return (uint32_t)nearest(board->gain * power_w * 1000);
}
