#include "sensor.h"

#include <math.h>

/* With more of the steps missed than this, the search for the last one would not be bounded. */
#define MOST_STEPS_LOOKED_BACK 100000

/* A number in [0, 1) that depends on the seed and the step alone (the output function of splitmix64). */
static double uniform(uint64_t seed, uint64_t purpose, int64_t step)
{
    uint64_t z = seed + purpose * 0xD1B54A32D192ED03u + (uint64_t)step * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

static double step_time_s(const struct sensor *sensor, int64_t step)
{
    double jitter_s = sensor->jitter_s * (2 * uniform(sensor->seed, 2 * (uint64_t)sensor->kind, step) - 1);
    return sensor->phase_s + (double)step * sensor->period_s + jitter_s;
}

static int step_missed(const struct sensor *sensor, int64_t step)
{
    return uniform(sensor->seed, 2 * (uint64_t)sensor->kind + 1, step) < sensor->missed;
}

double sensor_step_s(const struct sensor *sensor, double t_s)
{
    /* Jitter is at most half a period, so steps keep their order and the search can start one step late. */
    int64_t step = (int64_t)floor((t_s - sensor->phase_s) / sensor->period_s) + 1;
    int64_t oldest = step - MOST_STEPS_LOOKED_BACK;
    while (step > oldest && (step_time_s(sensor, step) > t_s || step_missed(sensor, step)))
        step--;
    return step_time_s(sensor, step);
}

double sensor_mean_w(const struct sensor *sensor, const struct power_curve *curve, double t_s)
{
    double end_s = sensor_step_s(sensor, t_s) - sensor->lag_s;
    double energy_j = curve_energy_j(curve, end_s) - curve_energy_j(curve, end_s - sensor->window_s);
    return energy_j / sensor->window_s;
}
