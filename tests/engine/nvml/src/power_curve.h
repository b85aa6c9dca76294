/* Power over time: an idle floor plus components, each a periodic curve of straight pieces.
 * Every shape (constant, square, ramp, burst, trace) is such a curve, so one exact integral serves all. */
#ifndef POWER_CURVE_H
#define POWER_CURVE_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_SEGMENTS 64
#define MAX_COMPONENTS 8

struct segment {
    double duration_s, from_w, to_w;
    double start_s, start_j; /* where it begins in the period, and the energy up to there */
};

struct component {
    struct segment segments[MAX_SEGMENTS];
    size_t count;
    double phase_s, period_s, period_j;
};

struct power_curve {
    double idle_w;
    struct component components[MAX_COMPONENTS];
    size_t count;
};

/* Appends a piece; a piece of no length is left out. False when there is no room or a number is impossible. */
bool component_append(struct component *component, double duration_s, double from_w, double to_w);

/* Integral of the power, in joules, up to an arbitrary constant: only differences mean something. */
double curve_energy_j(const struct power_curve *curve, double t_s);

#endif
