/* Which devices there are, and what they are. */
#include <stddef.h>
#include <stdio.h>

#include "session.h"

NVML_CALL nvmlDeviceGetCount_v2(unsigned *count)
{
    struct call call;
    nvmlReturn_t status = system_call_begin(&call, READ_COUNT);
    if (status == NVML_SUCCESS)
        *count = visible_count();
    return call_end(status);
}

/* Ends a call for a handle: the handle if there is such a device and it may be had, else the code that says why not. */
static nvmlReturn_t handle_end(const struct call *call, nvmlDevice_t found, nvmlReturn_t absent, nvmlDevice_t *device)
{
    if (found == NULL)
        return call_end(absent);
    nvmlReturn_t status = handle_fault(call, found);
    if (status == NVML_SUCCESS)
        *device = found;
    return call_end(status);
}

NVML_CALL nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    struct call call;
    nvmlReturn_t status = system_call_begin(&call, READ_HANDLE);
    if (status != NVML_SUCCESS)
        return call_end(status);
    return handle_end(&call, visible_by_index(index), NVML_ERROR_INVALID_ARGUMENT, device);
}

NVML_CALL nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    struct call call;
    if (uuid == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t status = system_call_begin(&call, READ_HANDLE);
    if (status != NVML_SUCCESS)
        return call_end(status);
    return handle_end(&call, visible_by_uuid(uuid), NVML_ERROR_NOT_FOUND, device);
}

NVML_CALL nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, nvmlDevice_t *device)
{
    struct call call;
    if (pci_bus_id == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t status = system_call_begin(&call, READ_HANDLE);
    if (status != NVML_SUCCESS)
        return call_end(status);
    return handle_end(&call, visible_by_pci_bus_id(pci_bus_id), NVML_ERROR_NOT_FOUND, device);
}

NVML_CALL nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_IDENTITY);
    if (status == NVML_SUCCESS)
        *index = visible_index(device);
    return call_end(status);
}

NVML_CALL nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    return text_call(device, READ_IDENTITY, offsetof(struct board, uuid), uuid, length);
}

NVML_CALL nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    return text_call(device, READ_IDENTITY, offsetof(struct board, name), name, length);
}

NVML_CALL nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned length)
{
    return text_call(device, READ_SERIAL, offsetof(struct board, serial), serial, length);
}

NVML_CALL nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char *version, unsigned length)
{
    return text_call(device, READ_VBIOS, offsetof(struct board, vbios_version), version, length);
}

NVML_CALL nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor_number)
{
    return whole_call(device, READ_IDENTITY, offsetof(struct board, minor_number), minor_number);
}

NVML_CALL nvmlDeviceGetBrand(nvmlDevice_t device, unsigned *brand)
{
    return whole_call(device, READ_IDENTITY, offsetof(struct board, brand), brand);
}

NVML_CALL nvmlDeviceGetArchitecture(nvmlDevice_t device, unsigned *architecture)
{
    return whole_call(device, READ_IDENTITY, offsetof(struct board, architecture), architecture);
}

NVML_CALL nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_IDENTITY);
    if (status == NVML_SUCCESS) {
        *major = (int)call.board->compute_major;
        *minor = (int)call.board->compute_minor;
    }
    return call_end(status);
}

NVML_CALL nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_PCI);
    if (status == NVML_SUCCESS) {
        const struct board *board = call.board;
        *pci = (nvmlPciInfo_t){.domain = board->pci_domain, .bus = board->pci_bus, .device = board->pci_device};
        snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff,
                 pci->device & 0xff);
        snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
    }
    return call_end(status);
}
