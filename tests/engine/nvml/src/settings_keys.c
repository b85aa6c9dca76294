#include "settings_keys.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "power_words.h"

enum value_type { NUMBER, WHOLE, WHOLE_32, SIGNED_32, SIGNED_64, TEXT, SWITCH };

struct key {
    const char *name;
    enum value_type type;
    size_t offset;
};

#define SYSTEM(type, field) {#field, type, offsetof(struct settings, field)}
#define BOARD(type, field) {#field, type, offsetof(struct board, field)}
#define SENSOR(sensor, field) {#sensor "_" #field, NUMBER, offsetof(struct board, sensor.field)}

static const struct key SYSTEM_KEYS[] = {
    SYSTEM(TEXT, driver_version),
    SYSTEM(TEXT, nvml_version),
    SYSTEM(WHOLE_32, cuda_driver_version),
    SYSTEM(SIGNED_64, epoch_unix_s),
};

static const struct key BOARD_KEYS[] = {
    BOARD(TEXT, uuid),
    BOARD(TEXT, name),
    BOARD(TEXT, serial),
    BOARD(TEXT, vbios_version),
    BOARD(TEXT, pci_bus_id),
    BOARD(WHOLE_32, minor_number),
    BOARD(WHOLE_32, brand),
    BOARD(WHOLE_32, architecture),
    {"idle_w", NUMBER, offsetof(struct board, power.idle_w)},
    SENSOR(counter, period_s),
    SENSOR(counter, phase_s),
    SENSOR(counter, jitter_s),
    SENSOR(counter, lag_s),
    SENSOR(counter, missed),
    SENSOR(instant, period_s),
    SENSOR(instant, phase_s),
    SENSOR(instant, jitter_s),
    SENSOR(instant, lag_s),
    SENSOR(instant, window_s),
    SENSOR(instant, missed),
    SENSOR(average, period_s),
    SENSOR(average, phase_s),
    SENSOR(average, jitter_s),
    SENSOR(average, lag_s),
    SENSOR(average, window_s),
    SENSOR(average, missed),
    BOARD(NUMBER, gain),
    BOARD(NUMBER, module_extra_w),
    BOARD(NUMBER, counter_offset_mj),
    BOARD(NUMBER, counter_frozen_at_unix_s),
    BOARD(NUMBER, counter_reset_at_unix_s),
    BOARD(WHOLE, seed),
    BOARD(SIGNED_32, temperature_c),
    BOARD(WHOLE_32, utilisation_percent),
    BOARD(WHOLE_32, memory_utilisation_percent),
    BOARD(WHOLE_32, sm_clock_mhz),
    BOARD(WHOLE_32, memory_clock_mhz),
    BOARD(WHOLE_32, max_sm_clock_mhz),
    BOARD(WHOLE_32, max_memory_clock_mhz),
    BOARD(WHOLE_32, application_sm_clock_mhz),
    BOARD(WHOLE_32, application_memory_clock_mhz),
    BOARD(WHOLE, throttle_reasons),
    BOARD(WHOLE, memory_total_bytes),
    BOARD(WHOLE, memory_used_bytes),
    BOARD(WHOLE, memory_reserved_bytes),
    BOARD(NUMBER, power_limit_w),
    BOARD(NUMBER, default_power_limit_w),
    BOARD(NUMBER, min_power_limit_w),
    BOARD(NUMBER, max_power_limit_w),
    BOARD(SWITCH, ecc),
    BOARD(SWITCH, mig),
    BOARD(SWITCH, persistence),
    BOARD(WHOLE_32, compute_mode),
    BOARD(WHOLE_32, pcie_generation),
    BOARD(WHOLE_32, pcie_width),
    BOARD(WHOLE_32, max_pcie_generation),
    BOARD(WHOLE_32, max_pcie_width),
    BOARD(NUMBER, call_delay_s),
};

static bool text_set(char *field, const char *value)
{
    if (strlen(value) >= TEXT_BYTES)
        return false;
    strcpy(field, value);
    return true;
}

static bool number_set(double *field, const char *value)
{
    char *end;
    *field = strtod(value, &end);
    return end != value && *end == '\0' && !isnan(*field);
}

/* Decimal, or hexadecimal after 0x. */
static bool whole_set(uint64_t *field, const char *value, uint64_t largest)
{
    char *end;
    errno = 0;
    *field = strtoull(value, &end, 0);
    return end != value && *end == '\0' && errno == 0 && *value != '-' && *field <= largest;
}

static bool signed_set(int64_t *field, const char *value, int64_t largest)
{
    char *end;
    errno = 0;
    *field = strtoll(value, &end, 10);
    return end != value && *end == '\0' && errno == 0 && *field <= largest && *field >= -largest;
}

static bool switch_set(bool *field, const char *value)
{
    *field = strcmp(value, "on") == 0;
    return *field || strcmp(value, "off") == 0;
}

static bool value_set(void *field, enum value_type type, const char *value)
{
    uint64_t whole = 0;
    int64_t number = 0;
    bool good = false;
    switch (type) {
    case NUMBER:
        return number_set(field, value);
    case WHOLE:
        return whole_set(field, value, UINT64_MAX);
    case WHOLE_32:
        good = whole_set(&whole, value, UINT32_MAX);
        *(uint32_t *)field = (uint32_t)whole;
        return good;
    case SIGNED_32:
        good = signed_set(&number, value, INT32_MAX);
        *(int32_t *)field = (int32_t)number;
        return good;
    case SIGNED_64:
        return signed_set(field, value, INT64_MAX);
    case TEXT:
        return text_set(field, value);
    case SWITCH:
        return switch_set(field, value);
    }
    return false;
}

static bool table_set(const struct key *keys, size_t count, void *section, const char *key, const char *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, key) == 0)
            return value_set((char *)section + keys[i].offset, keys[i].type, value);
    }
    return false;
}

static bool scopes_set(bool scopes[2], const char *value)
{
    scopes[NVML_SCOPE_GPU] = strcmp(value, "gpu") == 0 || strcmp(value, "both") == 0;
    scopes[NVML_SCOPE_MODULE] = strcmp(value, "module") == 0 || strcmp(value, "both") == 0;
    return scopes[NVML_SCOPE_GPU] || scopes[NVML_SCOPE_MODULE];
}

static bool power_usage_set(struct board *board, const char *value)
{
    board->power_usage = strcmp(value, "instant") == 0 ? SENSOR_INSTANT : SENSOR_AVERAGE;
    return board->power_usage == SENSOR_INSTANT || strcmp(value, "average") == 0;
}

static bool compute_capability_set(struct board *board, const char *value)
{
    char rest;
    return sscanf(value, "%u.%u%c", &board->compute_major, &board->compute_minor, &rest) == 2;
}

static bool process_add(struct board *board, const char *value)
{
    struct process process;
    char rest;
    if (board->process_count == MAX_PROCESSES || sscanf(value, "%u %lu%c", &process.pid, &process.memory_bytes, &rest) != 2)
        return false;
    board->processes[board->process_count++] = process;
    return true;
}

bool system_key_set(struct settings *settings, const char *key, const char *value)
{
    if (strcmp(key, "fault") == 0)
        return fault_parse(&settings->faults, value);
    return table_set(SYSTEM_KEYS, sizeof SYSTEM_KEYS / sizeof *SYSTEM_KEYS, settings, key, value);
}

bool board_key_set(struct board *board, const char *key, const char *value)
{
    if (strcmp(key, "power") == 0)
        return power_words_add(&board->power, value);
    if (strcmp(key, "fault") == 0)
        return fault_parse(&board->faults, value);
    if (strcmp(key, "process") == 0)
        return process_add(board, value);
    if (strcmp(key, "power_usage") == 0)
        return power_usage_set(board, value);
    if (strcmp(key, "counter_scope") == 0)
        return scopes_set(board->counter_scope, value);
    if (strcmp(key, "power_scope") == 0)
        return scopes_set(board->power_scope, value);
    if (strcmp(key, "compute_capability") == 0)
        return compute_capability_set(board, value);
    return table_set(BOARD_KEYS, sizeof BOARD_KEYS / sizeof *BOARD_KEYS, board, key, value);
}
