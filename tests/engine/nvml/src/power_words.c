#include "power_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS (MAX_SEGMENTS + 2)
#define TEXT_LIMIT 4096

/* The words after the shape's name. Every word must be used: a misspelt one is an error, not a default. */
struct words {
    char *list[MAX_WORDS];
    bool used[MAX_WORDS];
    size_t count;
    bool complaint;
};

static double number(const char *text, struct words *words)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        words->complaint = true;
    return value;
}

/* The value of `name=…`; without it the fallback, and a complaint when that is NAN. */
static double argument(struct words *words, const char *name, double fallback)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < words->count; i++) {
        if (strncmp(words->list[i], name, length) == 0 && words->list[i][length] == '=') {
            words->used[i] = true;
            return number(words->list[i] + length + 1, words);
        }
    }
    if (isnan(fallback))
        words->complaint = true;
    return fallback;
}

static bool constant(struct component *component, struct words *words)
{
    double watts = argument(words, "watts", NAN);
    return component_append(component, 1, watts, watts);
}

static bool square(struct component *component, struct words *words)
{
    double low_w = argument(words, "low_w", 0), high_w = argument(words, "high_w", NAN);
    double period_s = argument(words, "period_s", NAN), duty = argument(words, "duty", 0.5);
    return component_append(component, duty * period_s, high_w, high_w) &&
           component_append(component, (1 - duty) * period_s, low_w, low_w);
}

static bool saw(struct component *component, struct words *words)
{
    double from_w = argument(words, "from_w", 0), to_w = argument(words, "to_w", NAN);
    return component_append(component, argument(words, "period_s", NAN), from_w, to_w);
}

static bool triangle(struct component *component, struct words *words)
{
    double from_w = argument(words, "from_w", 0), to_w = argument(words, "to_w", NAN);
    double half_s = argument(words, "period_s", NAN) / 2;
    return component_append(component, half_s, from_w, to_w) && component_append(component, half_s, to_w, from_w);
}

/* `count` bursts of burst_s, gap_s apart, then low until the period is over. */
static bool burst(struct component *component, struct words *words)
{
    double low_w = argument(words, "low_w", 0), high_w = argument(words, "high_w", NAN);
    double period_s = argument(words, "period_s", NAN), burst_s = argument(words, "burst_s", NAN);
    double gap_s = argument(words, "gap_s", 0), count = argument(words, "count", 1);
    for (double i = 0; i < count; i++) {
        if ((i > 0 && !component_append(component, gap_s, low_w, low_w)) ||
            !component_append(component, burst_s, high_w, high_w))
            return false;
    }
    return component_append(component, period_s - component->period_s, low_w, low_w);
}

/* Words DURATION_S:WATTS or DURATION_S:FROM_W>TO_W, one after another. */
static bool trace(struct component *component, struct words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        char *watts = strchr(words->list[i], ':');
        if (watts == NULL)
            continue;
        *watts++ = '\0';
        char *to = strchr(watts, '>');
        if (to != NULL)
            *to++ = '\0';
        double from_w = number(watts, words);
        if (!component_append(component, number(words->list[i], words), from_w, to ? number(to, words) : from_w))
            return false;
        words->used[i] = true;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*build)(struct component *component, struct words *words);
} SHAPES[] = {
    {"constant", constant}, {"square", square}, {"saw", saw}, {"triangle", triangle}, {"burst", burst}, {"trace", trace},
};

static bool build(struct component *component, const char *shape, struct words *words)
{
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        if (strcmp(SHAPES[i].name, shape) == 0)
            return SHAPES[i].build(component, words);
    }
    return false;
}

bool power_words_add(struct power_curve *curve, const char *text)
{
    char copy[TEXT_LIMIT], *state;
    struct words words = {.count = 0};
    if (curve->count == MAX_COMPONENTS || strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    const char *shape = strtok_r(copy, " \t", &state);
    for (char *word; (word = strtok_r(NULL, " \t", &state)) != NULL; words.list[words.count++] = word) {
        if (words.count == MAX_WORDS)
            return false;
    }
    struct component *component = &curve->components[curve->count];
    *component = (struct component){.phase_s = argument(&words, "phase_s", 0)};
    if (shape == NULL || !build(component, shape, &words) || words.complaint || component->period_s <= 0)
        return false;
    for (size_t i = 0; i < words.count; i++) {
        if (!words.used[i])
            return false;
    }
    curve->count++;
    return true;
}
