#include "faults.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const READING_NAMES[READING_COUNT] = {
    [READ_ALL] = "all",
    [READ_INIT] = "init",
    [READ_COUNT] = "count",
    [READ_DRIVER_VERSION] = "driver_version",
    [READ_NVML_VERSION] = "nvml_version",
    [READ_CUDA_VERSION] = "cuda_version",
    [READ_HANDLE] = "handle",
    [READ_IDENTITY] = "identity",
    [READ_PCI] = "pci",
    [READ_COUNTER] = "counter",
    [READ_POWER_USAGE] = "power_usage",
    [READ_POWER_INSTANT] = "power_instant",
    [READ_POWER_AVERAGE] = "power_average",
    [READ_FIELD_VALUES] = "field_values",
    [READ_TEMPERATURE] = "temperature",
    [READ_MEMORY] = "memory",
    [READ_UTILISATION] = "utilisation",
    [READ_CLOCKS] = "clocks",
    [READ_APPLICATION_CLOCKS] = "application_clocks",
    [READ_THROTTLE_REASONS] = "throttle_reasons",
    [READ_PROCESSES] = "processes",
    [READ_POWER_LIMIT] = "power_limit",
    [READ_ECC] = "ecc",
    [READ_MIG] = "mig",
    [READ_PERSISTENCE] = "persistence",
    [READ_COMPUTE_MODE] = "compute_mode",
    [READ_PCIE] = "pcie",
    [READ_VBIOS] = "vbios",
    [READ_SERIAL] = "serial",
};

static const struct {
    nvmlReturn_t code;
    const char *name, *words;
} CODES[] = {
    {NVML_SUCCESS, "SUCCESS", "Success"},
    {NVML_ERROR_UNINITIALIZED, "UNINITIALIZED", "Uninitialized"},
    {NVML_ERROR_INVALID_ARGUMENT, "INVALID_ARGUMENT", "Invalid Argument"},
    {NVML_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED", "Not Supported"},
    {NVML_ERROR_NO_PERMISSION, "NO_PERMISSION", "Insufficient Permissions"},
    {NVML_ERROR_NOT_FOUND, "NOT_FOUND", "Not Found"},
    {NVML_ERROR_INSUFFICIENT_SIZE, "INSUFFICIENT_SIZE", "Insufficient Size"},
    {NVML_ERROR_DRIVER_NOT_LOADED, "DRIVER_NOT_LOADED", "Driver Not Loaded"},
    {NVML_ERROR_TIMEOUT, "TIMEOUT", "Timeout"},
    {NVML_ERROR_LIBRARY_NOT_FOUND, "LIBRARY_NOT_FOUND", "NVML Shared Library Not Found"},
    {NVML_ERROR_FUNCTION_NOT_FOUND, "FUNCTION_NOT_FOUND", "Function Not Found"},
    {NVML_ERROR_GPU_IS_LOST, "GPU_IS_LOST", "GPU is lost"},
    {NVML_ERROR_RESET_REQUIRED, "RESET_REQUIRED", "GPU requires reset"},
    {NVML_ERROR_OPERATING_SYSTEM, "OPERATING_SYSTEM", "GPU access blocked by the operating system"},
    {NVML_ERROR_LIB_RM_VERSION_MISMATCH, "LIB_RM_VERSION_MISMATCH", "Driver/library version mismatch"},
    {NVML_ERROR_IN_USE, "IN_USE", "In use by another client"},
    {NVML_ERROR_MEMORY, "MEMORY", "Insufficient Memory"},
    {NVML_ERROR_NO_DATA, "NO_DATA", "No data"},
    {NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "ARGUMENT_VERSION_MISMATCH", "Argument version mismatch"},
    {NVML_ERROR_NOT_READY, "NOT_READY", "Not Ready"},
    {NVML_ERROR_UNKNOWN, "UNKNOWN", "Unknown Error"},
};

static bool find_reading(const char *name, enum reading *reading)
{
    for (int i = 0; i < READING_COUNT; i++) {
        if (strcmp(READING_NAMES[i], name) == 0) {
            *reading = (enum reading)i;
            return true;
        }
    }
    return false;
}

static bool find_code(const char *name, nvmlReturn_t *code)
{
    for (size_t i = 1; i < sizeof CODES / sizeof *CODES; i++) {
        if (strcmp(CODES[i].name, name) == 0) {
            *code = CODES[i].code;
            return true;
        }
    }
    return false;
}

bool fault_parse(struct faults *faults, const char *text)
{
    char reading[32], code[32];
    int consumed = 0;
    if (faults->count == MAX_FAULTS || sscanf(text, "%31s %31s%n", reading, code, &consumed) != 2)
        return false;
    struct fault fault = {.from_unix_s = -INFINITY, .until_unix_s = INFINITY};
    if (!find_reading(reading, &fault.reading) || !find_code(code, &fault.code))
        return false;
    double *times[] = {&fault.from_unix_s, &fault.until_unix_s};
    const char *rest = text + consumed;
    for (size_t i = 0; i < 2 && *rest != '\0'; i++) {
        char *end;
        *times[i] = strtod(rest, &end);
        if (end == rest || isnan(*times[i]))
            return false;
        rest = end;
    }
    if (*rest != '\0')
        return false;
    faults->list[faults->count++] = fault;
    return true;
}

nvmlReturn_t fault_at(const struct faults *faults, enum reading reading, double unix_s)
{
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->list[i];
        bool meant = fault->reading == READ_ALL || fault->reading == reading;
        if (meant && unix_s >= fault->from_unix_s && unix_s < fault->until_unix_s)
            return fault->code;
    }
    return NVML_SUCCESS;
}

const char *fault_words(nvmlReturn_t code)
{
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++) {
        if (CODES[i].code == code)
            return CODES[i].words;
    }
    return "Unknown Error";
}
