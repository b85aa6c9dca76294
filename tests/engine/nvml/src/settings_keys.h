/* The keys of the settings file. */
#ifndef SETTINGS_KEYS_H
#define SETTINGS_KEYS_H

#include "settings.h"

/* Set one key of the section; false when there is no such key, or its value is none. */
bool system_key_set(struct settings *settings, const char *key, const char *value);
bool board_key_set(struct board *board, const char *key, const char *value);

#endif
