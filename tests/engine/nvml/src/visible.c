#include "visible.h"

#include <stdio.h>
#include <string.h>

static bool list_names(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *entry = list; entry != NULL; entry = strchr(entry, ',')) {
        entry += *entry == ',';
        if (strncmp(entry, name, length) == 0 && (entry[length] == ',' || entry[length] == '\0'))
            return true;
    }
    return false;
}

bool board_is_visible(const struct board *board, size_t number, const char *visible_devices)
{
    char decimal[24];
    if (visible_devices == NULL || *visible_devices == '\0' || strcmp(visible_devices, "all") == 0)
        return true;
    snprintf(decimal, sizeof decimal, "%zu", number);
    return list_names(visible_devices, board->uuid) || list_names(visible_devices, decimal);
}
