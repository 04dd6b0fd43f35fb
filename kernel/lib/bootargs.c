/* The boot command line; see bootargs.h. */
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"

#define WORDS_MAX 32

static char text[2048];
static struct word {
    char *name, *value;
} words[WORDS_MAX];
static unsigned word_count;

/* What the kernel understands; docs/testing.md says what each does. */
static const char *const known[] = {"console", "loglevel", "cowslip.trace", "maxproc", "panic_test", "vm.plant"};

static bool is_known(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

/* Ends the word at p and returns where the next may begin; quotes are taken out. */
static char *word_end(char *p)
{
    char *to = p;
    bool quoted = false;

    for (; *p && (quoted || *p != ' '); p++) {
        if (*p == '"')
            quoted = !quoted;
        else
            *to++ = *p;
    }
    if (*p)
        p++;
    *to = 0;
    return p;
}

void bootargs_parse(const char *line)
{
    char *p = text;

    if (strlcpy(text, line, sizeof text) >= sizeof text)
        printk(LOG_WARN, "boot arguments: only the first %zu bytes are read", sizeof text - 1);
    while (*p) {
        char *word = p, *equals;
        if (*p == ' ') {
            p++;
            continue;
        }
        p = word_end(p);
        equals = strchr(word, '=');
        if (equals)
            *equals = 0;
        if (!is_known(word))
            printk(LOG_WARN, "boot argument '%s' is not known: ignored", word);
        else if (word_count == WORDS_MAX)
            printk(LOG_WARN, "boot argument '%s' is one too many: ignored", word);
        else
            words[word_count++] = (struct word){word, equals ? equals + 1 : word + strlen(word)};
    }
}

const char *bootarg(const char *name)
{
    const char *value = NULL;

    for (unsigned i = 0; i < word_count; i++)
        if (strcmp(words[i].name, name) == 0)
            value = words[i].value; /* the last one counts */
    return value;
}

static bool parse_u64(const char *s, u64 *out)
{
    static const char suffixes[] = "KMG";
    const char *suffix;
    u64 v = 0;

    if (!*s)
        return false;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (UINT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (u64)(*s - '0');
    }
    suffix = *s ? strchr(suffixes, *s) : NULL;
    if (suffix) {
        unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);
        if (v > UINT64_MAX >> shift)
            return false;
        v <<= shift;
        s++;
    }
    *out = v;
    return *s == 0;
}

u64 bootarg_u64(const char *name, u64 fallback, u64 min, u64 max)
{
    const char *s = bootarg(name);
    u64 v;

    if (!s)
        return fallback;
    if (parse_u64(s, &v) && v >= min && v <= max)
        return v;
    printk(LOG_WARN, "boot argument %s=%s: not a number from %lu to %lu; %lu is used", name, s, min, max, fallback);
    return fallback;
}
