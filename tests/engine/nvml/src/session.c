#include "session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "visible.h"

#define DEFAULT_PATH "/etc/llem-test-nvml/nvml.conf"
#define PATH_BYTES 4096
#define CHECK_EVERY_NS 5000000
#define MAX_DEVICES 128

/* A handle that was given out stays valid, and means the board of that UUID, however the settings change. */
struct nvmlDevice_st {
    char uuid[TEXT_BYTES];
    const struct board *board; /* NULL when the settings no longer name it */
    uint32_t index;
};

static struct {
    pthread_mutex_t lock;
    unsigned openings;
    struct settings *settings;
    bool broken; /* the file of now can't be used: every call says so */
    char path[PATH_BYTES];
    struct stat seen;
    int64_t checked_ns;
    struct nvmlDevice_st devices[MAX_DEVICES];
    uint32_t device_count, visible[MAX_BOARDS], visible_count;
} session = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool device_known(nvmlDevice_t device)
{
    return device >= session.devices && device < session.devices + session.device_count;
}

static nvmlDevice_t device_for(const char *uuid)
{
    for (uint32_t i = 0; i < session.device_count; i++) {
        if (strcmp(session.devices[i].uuid, uuid) == 0)
            return &session.devices[i];
    }
    if (session.device_count == MAX_DEVICES)
        return NULL;
    strcpy(session.devices[session.device_count].uuid, uuid);
    return &session.devices[session.device_count++];
}

static void show_boards(const struct settings *settings)
{
    const char *visible_devices = getenv("NVIDIA_VISIBLE_DEVICES");
    session.visible_count = 0;
    for (uint32_t i = 0; i < session.device_count; i++)
        session.devices[i].board = NULL;
    for (size_t i = 0; i < settings->board_count; i++) {
        nvmlDevice_t device = device_for(settings->boards[i].uuid);
        if (device == NULL || !board_is_visible(&settings->boards[i], i, visible_devices))
            continue;
        device->board = &settings->boards[i];
        device->index = session.visible_count;
        session.visible[session.visible_count++] = (uint32_t)(device - session.devices);
    }
}

static void settings_replace(void)
{
    char complaint[512];
    struct settings *fresh = malloc(sizeof *fresh);
    if (fresh == NULL || !settings_read(fresh, session.path, complaint, sizeof complaint)) {
        fprintf(stderr, "simulated NVML: %s: %s\n", session.path, fresh == NULL ? "no memory" : complaint);
        free(fresh);
        session.broken = true;
        return;
    }
    show_boards(fresh);
    free(session.settings);
    session.settings = fresh;
    session.broken = false;
}

static bool file_changed(const struct stat *now)
{
    return now->st_ino != session.seen.st_ino || now->st_dev != session.seen.st_dev ||
           now->st_size != session.seen.st_size || now->st_mtim.tv_sec != session.seen.st_mtim.tv_sec ||
           now->st_mtim.tv_nsec != session.seen.st_mtim.tv_nsec;
}

/* Looks at most every few milliseconds; a file that has gone leaves the last settings in force. */
static void settings_refresh(void)
{
    struct stat now;
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    if (now_ns - session.checked_ns < CHECK_EVERY_NS)
        return;
    session.checked_ns = now_ns;
    if (stat(session.path, &now) != 0 || !file_changed(&now))
        return;
    session.seen = now;
    settings_replace();
}

static void settings_first(void)
{
    const char *named = getenv("LLEM_TEST_NVML_CONFIG");
    bool is_named = named != NULL && *named != '\0';
    snprintf(session.path, sizeof session.path, "%s", is_named ? named : DEFAULT_PATH);
    memset(&session.seen, 0, sizeof session.seen);
    session.checked_ns = clock_ns(CLOCK_MONOTONIC);
    if (stat(session.path, &session.seen) == 0 || is_named) {
        settings_replace();
        return;
    }
    struct settings *fresh = malloc(sizeof *fresh);
    session.broken = fresh == NULL;
    if (fresh == NULL)
        return;
    settings_default(fresh);
    show_boards(fresh);
    free(session.settings);
    session.settings = fresh;
}

static void call_clock(struct call *call)
{
    call->now_us = clock_ns(CLOCK_REALTIME) / 1000;
    call->t_s = (double)(call->now_us - call->settings->epoch_unix_s * 1000000) / 1e6;
}

static nvmlReturn_t session_ready(struct call *call)
{
    *call = (struct call){.settings = session.settings};
    if (session.openings == 0)
        return NVML_ERROR_UNINITIALIZED;
    settings_refresh();
    if (session.broken)
        return NVML_ERROR_UNKNOWN;
    call->settings = session.settings;
    call_clock(call);
    return NVML_SUCCESS;
}

nvmlReturn_t session_open(void)
{
    struct call call = {0};
    nvmlReturn_t status = NVML_SUCCESS;
    pthread_mutex_lock(&session.lock);
    if (session.openings == 0)
        settings_first();
    session.openings++;
    status = session_ready(&call);
    if (status == NVML_SUCCESS)
        status = fault_at(&session.settings->faults, READ_INIT, (double)call.now_us / 1e6);
    if (status != NVML_SUCCESS)
        session.openings--;
    return call_end(status);
}

nvmlReturn_t session_close(void)
{
    pthread_mutex_lock(&session.lock);
    if (session.openings == 0)
        return call_end(NVML_ERROR_UNINITIALIZED);
    session.openings--;
    return call_end(NVML_SUCCESS);
}

nvmlReturn_t system_call_begin(struct call *call, enum reading reading)
{
    pthread_mutex_lock(&session.lock);
    nvmlReturn_t status = session_ready(call);
    return status != NVML_SUCCESS ? status : fault_at(&session.settings->faults, reading, (double)call->now_us / 1e6);
}

static void delay(double seconds)
{
    struct timespec pause = {.tv_sec = (time_t)seconds};
    pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
    nanosleep(&pause, NULL);
}

nvmlReturn_t call_begin(struct call *call, nvmlDevice_t device, enum reading reading)
{
    pthread_mutex_lock(&session.lock);
    nvmlReturn_t status = session_ready(call);
    if (status != NVML_SUCCESS)
        return status;
    if (!device_known(device))
        return NVML_ERROR_INVALID_ARGUMENT;
    if (device->board == NULL)
        return NVML_ERROR_GPU_IS_LOST;
    call->board = device->board;
    if (call->board->call_delay_s > 0) {
        /* Under the lock, as a driver takes its callers one after another. */
        delay(call->board->call_delay_s);
        call_clock(call);
    }
    return call_fault(call, reading);
}

nvmlReturn_t call_end(nvmlReturn_t status)
{
    pthread_mutex_unlock(&session.lock);
    return status;
}

nvmlReturn_t call_fault(const struct call *call, enum reading reading)
{
    return fault_at(&call->board->faults, reading, (double)call->now_us / 1e6);
}

nvmlReturn_t handle_fault(const struct call *call, nvmlDevice_t device)
{
    return fault_at(&device->board->faults, READ_HANDLE, (double)call->now_us / 1e6);
}

nvmlReturn_t whole_call(nvmlDevice_t device, enum reading reading, size_t offset, uint32_t *answer)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, reading);
    if (status == NVML_SUCCESS)
        *answer = *(const uint32_t *)((const char *)call.board + offset);
    return call_end(status);
}

nvmlReturn_t text_answer(const char *text, char *answer, uint32_t length)
{
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(answer, text);
    return NVML_SUCCESS;
}

nvmlReturn_t text_call(nvmlDevice_t device, enum reading reading, size_t offset, char *answer, uint32_t length)
{
    struct call call;
    nvmlReturn_t status = call_begin(&call, device, reading);
    if (status == NVML_SUCCESS)
        status = text_answer((const char *)call.board + offset, answer, length);
    return call_end(status);
}

uint32_t visible_count(void)
{
    return session.visible_count;
}

nvmlDevice_t visible_by_index(uint32_t index)
{
    return index < session.visible_count ? &session.devices[session.visible[index]] : NULL;
}

nvmlDevice_t visible_by_uuid(const char *uuid)
{
    for (uint32_t i = 0; i < session.visible_count; i++) {
        nvmlDevice_t device = visible_by_index(i);
        if (strcmp(device->uuid, uuid) == 0)
            return device;
    }
    return NULL;
}

nvmlDevice_t visible_by_pci_bus_id(const char *pci_bus_id)
{
    uint32_t domain, bus, number;
    if (sscanf(pci_bus_id, "%x:%x:%x", &domain, &bus, &number) != 3)
        return NULL;
    for (uint32_t i = 0; i < session.visible_count; i++) {
        const struct board *board = visible_by_index(i)->board;
        if (board->pci_domain == domain && board->pci_bus == bus && board->pci_device == number)
            return visible_by_index(i);
    }
    return NULL;
}

uint32_t visible_index(nvmlDevice_t device)
{
    return device->index;
}
