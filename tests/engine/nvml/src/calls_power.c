/* The power reading that every driver has. */
#include "readings.h"

NVML_CALL nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *power)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_POWER_USAGE);
    if (status == NVML_SUCCESS)
        *power = power_mw(&call, call.board->power_usage, !call.board->power_scope[NVML_SCOPE_GPU]);
    return call_end(status);
}
