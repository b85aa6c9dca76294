/* From nvmlInit to nvmlShutdown: the settings in force, the devices shown, and the frame around every call. */
#ifndef SESSION_H
#define SESSION_H

#include "settings.h"

/* What a call works with between its begin and its end. */
struct call {
    const struct settings *settings;
    const struct board *board; /* NULL for a call that names no device */
    int64_t now_us;            /* CLOCK_REALTIME, floored to microseconds */
    double t_s;                /* the same, in seconds since the settings' epoch */
};

nvmlReturn_t session_open(void);
nvmlReturn_t session_close(void);

/* Begin a call: takes the lock, re-reads changed settings, finds the board, applies its faults.
 * Whatever they return, finish with `return call_end(status)`. */
nvmlReturn_t system_call_begin(struct call *call, enum reading reading);
nvmlReturn_t call_begin(struct call *call, nvmlDevice_t device, enum reading reading);
nvmlReturn_t call_end(nvmlReturn_t status);

/* A further reading inside a call, such as one field of many. */
nvmlReturn_t call_fault(const struct call *call, enum reading reading);

/* What the board of another device answers when its handle is asked for. */
nvmlReturn_t handle_fault(const struct call *call, nvmlDevice_t device);

/* Whole calls for the commonest kinds of answer: a field of the board, by its offset. */
nvmlReturn_t whole_call(nvmlDevice_t device, enum reading reading, size_t offset, uint32_t *answer);
nvmlReturn_t text_call(nvmlDevice_t device, enum reading reading, size_t offset, char *answer, uint32_t length);
nvmlReturn_t text_answer(const char *text, char *answer, uint32_t length);

/* The devices that this process may see, in NVML's order. */
uint32_t visible_count(void);
nvmlDevice_t visible_by_index(uint32_t index);
nvmlDevice_t visible_by_uuid(const char *uuid);
nvmlDevice_t visible_by_pci_bus_id(const char *pci_bus_id);
uint32_t visible_index(nvmlDevice_t device);

#endif
