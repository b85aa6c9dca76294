/* The counter and the field values. A library without this file is that of a driver too old to have them. */
#include "readings.h"

NVML_CALL nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, READ_COUNTER);
    if (status == NVML_SUCCESS)
        *energy = counter_mj(&call, !call.board->counter_scope[NVML_SCOPE_GPU]);
    return call_end(status);
}

static void counter_field(const struct call *call, nvmlFieldValue_t *field)
{
    if (field->scopeId > NVML_SCOPE_MODULE || !call->board->counter_scope[field->scopeId])
        return;
    field->nvmlReturn = call_fault(call, READ_COUNTER);
    field->valueType = NVML_VALUE_UNSIGNED_LONG_LONG;
    if (field->nvmlReturn == NVML_SUCCESS)
        field->value.ullVal = counter_mj(call, field->scopeId == NVML_SCOPE_MODULE);
}

static void power_field(const struct call *call, nvmlFieldValue_t *field, enum reading reading, enum sensor_kind kind)
{
    if (field->scopeId > NVML_SCOPE_MODULE || !call->board->power_scope[field->scopeId])
        return;
    field->nvmlReturn = call_fault(call, reading);
    field->valueType = NVML_VALUE_UNSIGNED_INT;
    if (field->nvmlReturn == NVML_SUCCESS)
        field->value.uiVal = power_mw(call, kind, field->scopeId == NVML_SCOPE_MODULE);
}

static void field_answer(const struct call *call, nvmlFieldValue_t *field)
{
    *field = (nvmlFieldValue_t){
        .fieldId = field->fieldId,
        .scopeId = field->scopeId,
        .timestamp = call->now_us,
        .nvmlReturn = NVML_ERROR_NOT_SUPPORTED,
    };
    if (field->fieldId == NVML_FIELD_TOTAL_ENERGY)
        counter_field(call, field);
    else if (field->fieldId == NVML_FIELD_POWER_AVERAGE)
        power_field(call, field, READ_POWER_AVERAGE, SENSOR_AVERAGE);
    else if (field->fieldId == NVML_FIELD_POWER_INSTANT)
        power_field(call, field, READ_POWER_INSTANT, SENSOR_INSTANT);
}

NVML_CALL nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *fields)
{
    struct call call;
    if (count <= 0 || fields == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    nvmlReturn_t status = call_begin(&call, device, READ_FIELD_VALUES);
    for (int i = 0; status == NVML_SUCCESS && i < count; i++)
        field_answer(&call, &fields[i]);
    return call_end(status);
}
