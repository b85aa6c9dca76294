#include "power_curve.h"

#include <math.h>

bool component_append(struct component *component, double duration_s, double from_w, double to_w)
{
    if (!(duration_s >= 0) || !(from_w >= 0) || !(to_w >= 0) || component->count == MAX_SEGMENTS)
        return false;
    if (duration_s == 0)
        return true;
    component->segments[component->count++] = (struct segment){
        .duration_s = duration_s,
        .from_w = from_w,
        .to_w = to_w,
        .start_s = component->period_s,
        .start_j = component->period_j,
    };
    component->period_s += duration_s;
    component->period_j += duration_s * (from_w + to_w) / 2;
    return true;
}

static double component_energy_j(const struct component *component, double t_s)
{
    double since_phase_s = t_s - component->phase_s;
    double periods = floor(since_phase_s / component->period_s);
    double within_s = since_phase_s - periods * component->period_s;
    const struct segment *segment = component->segments;
    for (size_t i = 1; i < component->count && component->segments[i].start_s <= within_s; i++)
        segment = &component->segments[i];
    double d = within_s - segment->start_s;
    double slope_w_per_s = (segment->to_w - segment->from_w) / segment->duration_s;
    return periods * component->period_j + segment->start_j + d * (segment->from_w + slope_w_per_s * d / 2);
}

double curve_energy_j(const struct power_curve *curve, double t_s)
{
    double energy_j = curve->idle_w * t_s;
    for (size_t i = 0; i < curve->count; i++)
        energy_j += component_energy_j(&curve->components[i], t_s);
    return energy_j;
}
