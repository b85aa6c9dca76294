/* Everything else a device tells of itself: heat, load, memory, clocks, limits, modes, processes. */
#include <math.h>
#include <stddef.h>

#include "session.h"

#define TEMPERATURE_SENSOR_GPU 0

NVML_CALL nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor, unsigned *temperature)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_TEMPERATURE);
    if (status == NVML_SUCCESS && sensor != TEMPERATURE_SENSOR_GPU)
        status = NVML_ERROR_INVALID_ARGUMENT;
    if (status == NVML_SUCCESS)
        *temperature = (unsigned)call.board->temperature_c;
    return call_end(status);
}

NVML_CALL nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_TEMPERATURE);
    if (status == NVML_SUCCESS && temperature->version != NVML_TEMPERATURE_V1)
        status = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (status == NVML_SUCCESS && temperature->sensorType != TEMPERATURE_SENSOR_GPU)
        status = NVML_ERROR_INVALID_ARGUMENT;
    if (status == NVML_SUCCESS)
        temperature->temperature = call.board->temperature_c;
    return call_end(status);
}

/* The first form counts reserved memory as used, as NVIDIA's does. */
NVML_CALL nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_MEMORY);
    if (status == NVML_SUCCESS) {
        memory->total = call.board->memory_total_bytes;
        memory->used = call.board->memory_used_bytes + call.board->memory_reserved_bytes;
        memory->free = memory->total - memory->used;
    }
    return call_end(status);
}

NVML_CALL nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_MEMORY);
    if (status == NVML_SUCCESS && memory->version != NVML_MEMORY_V2)
        status = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (status == NVML_SUCCESS) {
        memory->total = call.board->memory_total_bytes;
        memory->reserved = call.board->memory_reserved_bytes;
        memory->used = call.board->memory_used_bytes;
        memory->free = memory->total - memory->used - memory->reserved;
    }
    return call_end(status);
}

NVML_CALL nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilisation)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_UTILISATION);
    if (status == NVML_SUCCESS) {
        utilisation->gpu = call.board->utilisation_percent;
        utilisation->memory = call.board->memory_utilisation_percent;
    }
    return call_end(status);
}

/* Graphics and video clocks follow the SM clock here. */
static nvmlReturn_t clock_call(nvmlDevice_t device, enum reading reading, unsigned type, const size_t sm_and_memory[2],
                               unsigned *clock)
{
    if (type > NVML_CLOCK_VIDEO)
        return NVML_ERROR_INVALID_ARGUMENT;
    return whole_call(device, reading, sm_and_memory[type == NVML_CLOCK_MEMORY], clock);
}

NVML_CALL nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *clock)
{
    static const size_t OFFSETS[] = {offsetof(struct board, sm_clock_mhz), offsetof(struct board, memory_clock_mhz)};
    return clock_call(device, READ_CLOCKS, type, OFFSETS, clock);
}

NVML_CALL nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned type, unsigned *clock)
{
    static const size_t OFFSETS[] = {offsetof(struct board, max_sm_clock_mhz),
                                     offsetof(struct board, max_memory_clock_mhz)};
    return clock_call(device, READ_CLOCKS, type, OFFSETS, clock);
}

NVML_CALL nvmlDeviceGetApplicationsClock(nvmlDevice_t device, unsigned type, unsigned *clock)
{
    static const size_t OFFSETS[] = {offsetof(struct board, application_sm_clock_mhz),
                                     offsetof(struct board, application_memory_clock_mhz)};
    return clock_call(device, READ_APPLICATION_CLOCKS, type, OFFSETS, clock);
}

NVML_CALL nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_THROTTLE_REASONS);
    if (status == NVML_SUCCESS)
        *reasons = call.board->throttle_reasons;
    return call_end(status);
}

NVML_CALL nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    return nvmlDeviceGetCurrentClocksEventReasons(device, reasons);
}

NVML_CALL nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *processes)
{
    static const uint32_t NO_INSTANCE = UINT32_MAX;
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_PROCESSES);
    if (status != NVML_SUCCESS)
        return call_end(status);
    unsigned room = *count;
    *count = (unsigned)call.board->process_count;
    if (room < *count)
        return call_end(NVML_ERROR_INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < *count; i++) {
        const struct process *process = &call.board->processes[i];
        processes[i] = (nvmlProcessInfo_t){process->pid, process->memory_bytes, NO_INSTANCE, NO_INSTANCE};
    }
    return call_end(NVML_SUCCESS);
}

NVML_CALL nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count, nvmlProcessInfo_t *processes)
{
    struct call call;
    (void)processes;
    nvmlReturn_t status = call_begin(&call, device, READ_PROCESSES);
    if (status == NVML_SUCCESS)
        *count = 0;
    return call_end(status);
}

static nvmlReturn_t limit_call(nvmlDevice_t device, size_t offset, unsigned *limit)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_POWER_LIMIT);
    if (status == NVML_SUCCESS)
        *limit = (unsigned)lround(*(const double *)((const char *)call.board + offset) * 1000);
    return call_end(status);
}

NVML_CALL nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned *limit)
{
    return limit_call(device, offsetof(struct board, power_limit_w), limit);
}

NVML_CALL nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned *limit)
{
    return limit_call(device, offsetof(struct board, power_limit_w), limit);
}

NVML_CALL nvmlDeviceGetPowerManagementDefaultLimit(nvmlDevice_t device, unsigned *limit)
{
    return limit_call(device, offsetof(struct board, default_power_limit_w), limit);
}

NVML_CALL nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned *least, unsigned *most)
{
    nvmlReturn_t status = limit_call(device, offsetof(struct board, min_power_limit_w), least);
    return status != NVML_SUCCESS ? status : limit_call(device, offsetof(struct board, max_power_limit_w), most);
}

/* For a mode that has a current and a pending state; they are the same here. */
static nvmlReturn_t mode_call(nvmlDevice_t device, enum reading reading, size_t offset, unsigned *current, unsigned *pending)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, reading);
    if (status == NVML_SUCCESS)
        *current = *pending = *(const bool *)((const char *)call.board + offset);
    return call_end(status);
}

NVML_CALL nvmlDeviceGetEccMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    return mode_call(device, READ_ECC, offsetof(struct board, ecc), current, pending);
}

NVML_CALL nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending)
{
    return mode_call(device, READ_MIG, offsetof(struct board, mig), current, pending);
}

NVML_CALL nvmlDeviceGetPersistenceMode(nvmlDevice_t device, unsigned *mode)
{
    unsigned pending;
    return mode_call(device, READ_PERSISTENCE, offsetof(struct board, persistence), mode, &pending);
}

NVML_CALL nvmlDeviceGetComputeMode(nvmlDevice_t device, unsigned *mode)
{
    return whole_call(device, READ_COMPUTE_MODE, offsetof(struct board, compute_mode), mode);
}

NVML_CALL nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t device, unsigned *generation)
{
    return whole_call(device, READ_PCIE, offsetof(struct board, pcie_generation), generation);
}

NVML_CALL nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
    return whole_call(device, READ_PCIE, offsetof(struct board, pcie_width), width);
}

NVML_CALL nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t device, unsigned *generation)
{
    return whole_call(device, READ_PCIE, offsetof(struct board, max_pcie_generation), generation);
}

NVML_CALL nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t device, unsigned *width)
{
    return whole_call(device, READ_PCIE, offsetof(struct board, max_pcie_width), width);
}

/* No board here is half of a superchip: the answer of a board on PCIe, which Zeus asks every board for. */
NVML_CALL nvmlDeviceGetC2cModeInfoV(nvmlDevice_t device, void *info)
{
    struct call call;
    (void)info;
    nvmlReturn_t status = call_begin(&call, device, READ_IDENTITY);
    return call_end(status != NVML_SUCCESS ? status : NVML_ERROR_NOT_SUPPORTED);
}
