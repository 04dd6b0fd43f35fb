/*
 * The boot command line; see bootargs.h. It is parsed once, before there are
 * other CPUs or threads, and does not change afterwards: no lock.
 */
#include "lib/bootargs.h"
#include "lib/print.h"
#include "lib/string.h"

#define WORDS_MAX 32

static char text[2048];
static struct word {
    char *name, *value;
} words[WORDS_MAX];
static unsigned word_count;

/* All that the kernel understands. */
static const struct {
    const char *name, *what;
} known[] = {
    {"console", "framed: the serial line carries several channels, for the host command"},
    {"fault_test", "write-text, exec-user and others (kernel/protect.c): does what must end in a panic (debug builds)"},
    {"init", "the first program, instead of /init"},
    {"loglevel", "log lines with a lower number reach the console: 0 to 8"},
    {"cowslip.trace", "1: log each system call that the kernel does not have"},
    {"maxproc", "how many processes there may be"},
    {"norandmaps", "programs lie at the same addresses each time"},
    {"panic_test", "1: panic before the first program starts, to test what follows"},
    {"vm.check", "asked: references are recounted when /proc/sys/vm/check is written to, not at each fork (debug builds)"},
    {"virtio_mmio.device", "SIZE@ADDRESS:LINE: a virtio device may be there"},
    {"vm.fork", "eager: fork copies all page tables, as other kernels do, to compare with"},
    {"vm.overcommit", "1: memory is promised freely; 2: only what there is (/proc/sys/vm/overcommit_memory)"},
    {"vm.plant", "count, seal, flush: makes this mistake, for the tests to find (debug builds)"},
};

static bool is_known(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return true;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Ends the word at p and returns where the next may begin; quotes are taken out. */
static char *word_end(char *p)
{
    char *to = p;
    bool quoted = false;

    for (; *p && (quoted || !is_space(*p)); p++) {
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

static void word_add(char *word)
{
    char *equals = strchr(word, '=');

    if (equals)
        *equals = 0;
    if (!is_known(word))
        printk(LOG_WARN, "boot argument '%s' is not known: ignored", word);
    else if (word_count == WORDS_MAX)
        printk(LOG_WARN, "boot argument '%s' is one too many: ignored", word);
    else
        words[word_count++] = (struct word){word, equals ? equals + 1 : word + strlen(word)};
}

void bootargs_parse(const char *line)
{
    char *p = text;

    word_count = 0;
    if (strlcpy(text, line, sizeof text) >= sizeof text)
        printk(LOG_WARN, "boot arguments: only the first %zu bytes are read", sizeof text - 1);
    while (*p) {
        char *word = p;

        if (is_space(*p)) {
            p++;
            continue;
        }
        p = word_end(p);
        word_add(word);
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

/* Decimal digits, then K, M, G or nothing. */
static bool parse_u64(const char *s, u64 *out)
{
    static const char suffixes[] = "KMG";
    const char *digits = s, *suffix;

    for (*out = 0; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (u64)(*s - '0'), out))
            return false;
    if (s == digits)
        return false;
    suffix = *s ? strchr(suffixes, *s) : NULL;
    if (suffix) {
        if (__builtin_mul_overflow(*out, 1ul << 10 * (suffix - suffixes + 1), out))
            return false;
        s++;
    }
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
