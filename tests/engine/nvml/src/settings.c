#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings_keys.h"

#define DEFAULT_EPOCH_UNIX_S 1735689600 /* 2025-01-01 */
#define GIB (1024ull * 1024 * 1024)

static struct board board_default(unsigned number)
{
    struct board board = {
        .name = "NVIDIA H100 80GB HBM3 (simulated)",
        .serial = "1650000000000",
        .vbios_version = "96.00.74.00.01",
        .minor_number = number,
        .brand = 14,
        .architecture = 9,
        .compute_major = 9,
        .power = {.idle_w = 72},
        .counter = {.period_s = 0.09998, .jitter_s = 0.0015, .lag_s = 0.015},
        .instant = {.period_s = 0.1, .window_s = 0.025},
        .average = {.period_s = 0.1, .window_s = 1},
        .power_usage = SENSOR_AVERAGE,
        .gain = 1,
        .counter_frozen_at_unix_s = INFINITY,
        .counter_reset_at_unix_s = INFINITY,
        .counter_scope = {true, false},
        .power_scope = {true, false},
        .seed = number + 1,
        .temperature_c = 40,
        .sm_clock_mhz = 1980,
        .memory_clock_mhz = 2619,
        .max_sm_clock_mhz = 1980,
        .max_memory_clock_mhz = 2619,
        .application_sm_clock_mhz = 1980,
        .application_memory_clock_mhz = 2619,
        .memory_total_bytes = 80 * GIB,
        .memory_reserved_bytes = GIB / 2,
        .power_limit_w = 700,
        .default_power_limit_w = 700,
        .min_power_limit_w = 200,
        .max_power_limit_w = 700,
        .ecc = true,
        .persistence = true,
        .pcie_generation = 5,
        .pcie_width = 16,
        .max_pcie_generation = 5,
        .max_pcie_width = 16,
    };
    snprintf(board.section, sizeof board.section, "gpu%u", number);
    snprintf(board.uuid, sizeof board.uuid, "GPU-51300000-0000-4000-8000-%012u", number);
    snprintf(board.pci_bus_id, sizeof board.pci_bus_id, "00000000:%02X:00.0", (0x10 + number) & 0xff);
    return board;
}

static void settings_empty(struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    strcpy(settings->driver_version, "580.95.05");
    strcpy(settings->nvml_version, "13.580.95.05");
    settings->cuda_driver_version = 13000;
    settings->epoch_unix_s = DEFAULT_EPOCH_UNIX_S;
}

static const char *sensor_complaint(const struct sensor *sensor)
{
    if (!(sensor->period_s > 0))
        return "a period must be longer than 0";
    if (!(sensor->jitter_s >= 0 && sensor->jitter_s <= sensor->period_s / 2))
        return "jitter must be between 0 and half a period";
    if (!(sensor->missed >= 0 && sensor->missed <= 0.9))
        return "the share of missed steps must be between 0 and 0.9";
    if (!(sensor->lag_s >= 0))
        return "a lag can't be negative";
    if (sensor->kind != SENSOR_COUNTER && !(sensor->window_s > 0))
        return "a window must be longer than 0";
    return NULL;
}

/* Fills in what follows from the settings; NULL, or what is impossible about them. */
static const char *board_finish(struct board *board)
{
    struct sensor *sensors[] = {&board->counter, &board->instant, &board->average};
    for (int i = 0; i < 3; i++) {
        sensors[i]->kind = (enum sensor_kind)(SENSOR_COUNTER + i);
        sensors[i]->seed = board->seed;
        const char *complaint = sensor_complaint(sensors[i]);
        if (complaint != NULL)
            return complaint;
    }
    if (sscanf(board->pci_bus_id, "%x:%x:%x", &board->pci_domain, &board->pci_bus, &board->pci_device) != 3)
        return "pci_bus_id must look like 00000000:10:00.0";
    if (strstr(board->name, "(simulated)") == NULL)
        return "the name must contain (simulated)";
    if (!(board->gain > 0) || !(board->power.idle_w >= 0) || !(board->module_extra_w >= 0) || !(board->call_delay_s >= 0))
        return "gain must be above 0; idle_w, module_extra_w and call_delay_s not below";
    return NULL;
}

static int by_pci_bus_id(const void *left, const void *right)
{
    const struct board *a = left, *b = right;
    if (a->pci_domain != b->pci_domain)
        return a->pci_domain < b->pci_domain ? -1 : 1;
    if (a->pci_bus != b->pci_bus)
        return a->pci_bus < b->pci_bus ? -1 : 1;
    return a->pci_device < b->pci_device ? -1 : a->pci_device > b->pci_device;
}

static bool settings_finish(struct settings *settings, char *complaint, size_t complaint_bytes)
{
    for (size_t i = 0; i < settings->board_count; i++) {
        struct board *board = &settings->boards[i];
        const char *problem = board_finish(board);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(settings->boards[j].uuid, board->uuid) == 0 || by_pci_bus_id(&settings->boards[j], board) == 0)
                problem = "another board has the same uuid or pci_bus_id";
        }
        if (problem != NULL) {
            snprintf(complaint, complaint_bytes, "[%.90s]: %s", board->section, problem);
            return false;
        }
    }
    qsort(settings->boards, settings->board_count, sizeof *settings->boards, by_pci_bus_id);
    return true;
}

void settings_default(struct settings *settings)
{
    settings_empty(settings);
    settings->boards[0] = board_default(0);
    settings->boards[0].power.idle_w = 300;
    settings->board_count = 1;
    char complaint[1];
    settings_finish(settings, complaint, sizeof complaint);
}

static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

/* Starts a section; the number of its board, -1 for [system], -2 for what is neither. */
static int section_open(struct settings *settings, const char *line)
{
    unsigned number;
    char bracket;
    if (strcmp(line, "[system]") == 0)
        return -1;
    if (sscanf(line, "[gpu%u%c", &number, &bracket) != 2 || bracket != ']' || settings->board_count == MAX_BOARDS)
        return -2;
    settings->boards[settings->board_count] = board_default(number);
    return (int)settings->board_count++;
}

static bool line_read(struct settings *settings, char *line, int *section)
{
    if (*line == '\0' || *line == '#')
        return true;
    if (*line == '[') {
        *section = section_open(settings, line);
        return *section != -2;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL || *section == -2)
        return false;
    *equals = '\0';
    const char *key = trimmed(line), *value = trimmed(equals + 1);
    return *section == -1 ? system_key_set(settings, key, value) : board_key_set(&settings->boards[*section], key, value);
}

bool settings_read(struct settings *settings, const char *path, char *complaint, size_t complaint_bytes)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(complaint, complaint_bytes, "%s", strerror(errno));
        return false;
    }
    settings_empty(settings);
    char line[4096], shown[101];
    int section = -2, number = 0;
    bool readable = true;
    while (readable && fgets(line, sizeof line, file) != NULL) {
        number++;
        snprintf(shown, sizeof shown, "%.100s", trimmed(line));
        readable = line_read(settings, trimmed(line), &section);
    }
    fclose(file);
    if (!readable) {
        snprintf(complaint, complaint_bytes, "line %d makes no sense: %s", number, shown);
        return false;
    }
    return settings_finish(settings, complaint, complaint_bytes);
}
