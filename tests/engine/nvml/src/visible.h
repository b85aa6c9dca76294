/* Which boards a process sees, as in a container that was started with NVIDIA_VISIBLE_DEVICES. */
#ifndef VISIBLE_H
#define VISIBLE_H

#include "settings.h"

/* Whether a board is shown, given the variable's value (NULL: not set) and the board's number among all boards. */
bool board_is_visible(const struct board *board, size_t number, const char *visible_devices);

#endif
