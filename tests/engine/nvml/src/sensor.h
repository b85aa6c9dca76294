/* What a board's sensor makes of its power: values that change only in steps, some time late, as means over a window. */
#ifndef SENSOR_H
#define SENSOR_H

#include <stdint.h>

#include "power_curve.h"

enum sensor_kind { SENSOR_COUNTER = 1, SENSOR_INSTANT = 2, SENSOR_AVERAGE = 3 };

struct sensor {
    enum sensor_kind kind;
    double period_s, phase_s; /* step k is due at phase + k × period */
    double jitter_s;          /* and comes up to this much earlier or later */
    double lag_s;             /* a step at t knows the power up to t − lag */
    double window_s;          /* power readings: mean over this long; the counter has none */
    double missed;            /* share of the steps that do not come */
    uint64_t seed;
};

/* Time of the last step at or before t. */
double sensor_step_s(const struct sensor *sensor, double t_s);

/* Mean power, in W, that a power reading shows at t. */
double sensor_mean_w(const struct sensor *sensor, const struct power_curve *curve, double t_s);

#endif
