/* The numbers that the energy calls answer with. */
#ifndef READINGS_H
#define READINGS_H

#include "session.h"

/* The counter, in mJ, of the GPU alone or of its module. */
uint64_t counter_mj(const struct call *call, bool module);

/* One of the two power readings, in mW. */
uint32_t power_mw(const struct call *call, enum sensor_kind kind, bool module);

#endif
