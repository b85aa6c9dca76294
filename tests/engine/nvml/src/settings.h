/* What the settings file says: a system and its boards. The format is described in ../README.md. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "faults.h"
#include "power_curve.h"
#include "sensor.h"

#define MAX_BOARDS 32
#define MAX_PROCESSES 32
#define TEXT_BYTES 96

struct process {
    uint32_t pid;
    uint64_t memory_bytes;
};

struct board {
    char section[TEXT_BYTES], uuid[TEXT_BYTES], name[TEXT_BYTES], serial[TEXT_BYTES], vbios_version[TEXT_BYTES];
    char pci_bus_id[TEXT_BYTES];
    uint32_t pci_domain, pci_bus, pci_device;
    uint32_t minor_number, brand, architecture, compute_major, compute_minor;

    struct power_curve power;
    struct sensor counter, instant, average;
    enum sensor_kind power_usage; /* which of the two power readings nvmlDeviceGetPowerUsage shows */
    double gain, module_extra_w, counter_offset_mj;
    double counter_frozen_at_unix_s, counter_reset_at_unix_s; /* infinite: never */
    bool counter_scope[2], power_scope[2];    /* by NVML's scope number: GPU, MODULE */
    uint64_t seed;

    int32_t temperature_c;
    uint32_t utilisation_percent, memory_utilisation_percent;
    uint32_t sm_clock_mhz, memory_clock_mhz, max_sm_clock_mhz, max_memory_clock_mhz;
    uint32_t application_sm_clock_mhz, application_memory_clock_mhz;
    uint64_t throttle_reasons;
    uint64_t memory_total_bytes, memory_used_bytes, memory_reserved_bytes;
    struct process processes[MAX_PROCESSES];
    size_t process_count;
    double power_limit_w, default_power_limit_w, min_power_limit_w, max_power_limit_w;
    bool ecc, mig, persistence;
    uint32_t compute_mode, pcie_generation, pcie_width, max_pcie_generation, max_pcie_width;

    double call_delay_s;
    struct faults faults;
};

struct settings {
    char driver_version[TEXT_BYTES], nvml_version[TEXT_BYTES];
    uint32_t cuda_driver_version;
    int64_t epoch_unix_s;
    struct faults faults;
    struct board boards[MAX_BOARDS]; /* in the order of their PCI bus ids, as NVML numbers them */
    size_t board_count;
};

/* A system with one H100 at constant power: what there is without a settings file. */
void settings_default(struct settings *settings);

/* Reads a file. False with one line in `complaint` when it can't be read or says something impossible. */
bool settings_read(struct settings *settings, const char *path, char *complaint, size_t complaint_bytes);

#endif
