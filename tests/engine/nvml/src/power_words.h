/* The words that describe a power curve in the settings file. */
#ifndef POWER_WORDS_H
#define POWER_WORDS_H

#include "power_curve.h"

/* Adds what `text` describes, such as "square low_w=100 high_w=500 period_s=0.75 duty=0.5". False when it makes no sense. */
bool power_words_add(struct power_curve *curve, const char *text);

#endif
