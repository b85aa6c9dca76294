/* nvmlInit, nvmlShutdown, the system's versions, and words for codes. */
#include <stddef.h>

#include "session.h"

__attribute__((visibility("default"))) const char *nvmlErrorString(nvmlReturn_t code)
{
    return fault_words(code);
}

NVML_CALL nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    return session_open();
}

NVML_CALL nvmlInit_v2(void)
{
    return session_open();
}

NVML_CALL nvmlInit(void)
{
    return session_open();
}

NVML_CALL nvmlShutdown(void)
{
    return session_close();
}

static nvmlReturn_t version_text(enum reading reading, size_t offset, char *version, unsigned length)
{
    struct call call;
    nvmlReturn_t status = system_call_begin(&call, reading);
    if (status == NVML_SUCCESS)
        status = text_answer((const char *)call.settings + offset, version, length);
    return call_end(status);
}

NVML_CALL nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    return version_text(READ_DRIVER_VERSION, offsetof(struct settings, driver_version), version, length);
}

NVML_CALL nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    return version_text(READ_NVML_VERSION, offsetof(struct settings, nvml_version), version, length);
}

NVML_CALL nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    struct call call;
    nvmlReturn_t status = system_call_begin(&call, READ_CUDA_VERSION);
    if (status == NVML_SUCCESS)
        *version = (int)call.settings->cuda_driver_version;
    return call_end(status);
}

NVML_CALL nvmlSystemGetCudaDriverVersion(int *version)
{
    return nvmlSystemGetCudaDriverVersion_v2(version);
}
