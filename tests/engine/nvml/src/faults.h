/* What a system or a board refuses to answer, with which NVML code, and when. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "nvml_abi.h"

#define MAX_FAULTS 64

enum reading {
    READ_ALL, /* every call on that board; on a system every call that names no board */
    READ_INIT,
    READ_COUNT,
    READ_DRIVER_VERSION,
    READ_NVML_VERSION,
    READ_CUDA_VERSION,
    READ_HANDLE,
    READ_IDENTITY,
    READ_PCI,
    READ_COUNTER,
    READ_POWER_USAGE,
    READ_POWER_INSTANT,
    READ_POWER_AVERAGE,
    READ_FIELD_VALUES,
    READ_TEMPERATURE,
    READ_MEMORY,
    READ_UTILISATION,
    READ_CLOCKS,
    READ_APPLICATION_CLOCKS,
    READ_THROTTLE_REASONS,
    READ_PROCESSES,
    READ_POWER_LIMIT,
    READ_ECC,
    READ_MIG,
    READ_PERSISTENCE,
    READ_COMPUTE_MODE,
    READ_PCIE,
    READ_VBIOS,
    READ_SERIAL,
    READING_COUNT,
};

struct fault {
    enum reading reading;
    nvmlReturn_t code;
    double from_unix_s, until_unix_s; /* may be infinite */
};

struct faults {
    struct fault list[MAX_FAULTS];
    size_t count;
};

/* Reads "READING CODE [FROM_UNIX_S [UNTIL_UNIX_S]]". */
bool fault_parse(struct faults *faults, const char *text);

/* The code that a reading answers with at that time, or NVML_SUCCESS. */
nvmlReturn_t fault_at(const struct faults *faults, enum reading reading, double unix_s);

/* NVML's own words for a code. */
const char *fault_words(nvmlReturn_t code);

#endif
