/* What every program of ours for xv6 is linked with. */
#include "xv6.h"
#include <stdarg.h>

int main(int argc, char **argv);

void start(int argc, char **argv)
{
    exit(main(argc, argv));
}

#define CALL(name, number) __asm__(".globl " #name "\n" #name ": li a7, " #number "\n ecall\n ret\n");
CALL(fork, 1)
CALL(exit, 2)
CALL(wait, 3)
CALL(pipe, 4)
CALL(read, 5)
CALL(kill, 6)
CALL(exec, 7)
CALL(fstat, 8)
CALL(chdir, 9)
CALL(dup, 10)
CALL(getpid, 11)
CALL(sys_sbrk, 12)
CALL(sleep, 13)
CALL(uptime, 14)
CALL(open, 15)
CALL(write, 16)
CALL(mknod, 17)
CALL(unlink, 18)
CALL(link, 19)
CALL(mkdir, 20)
CALL(close, 21)

uint64 strlen(const char *s)
{
    uint64 n = 0;

    while (s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uchar)*a - (uchar)*b;
}

void *memset(void *dst, int c, uint64 n)
{
    for (uint64 i = 0; i < n; i++)
        ((volatile char *)dst)[i] = (char)c;
    return dst;
}

void *memcpy(void *dst, const void *src, uint64 n)
{
    for (uint64 i = 0; i < n; i++)
        ((volatile char *)dst)[i] = ((const char *)src)[i];
    return dst;
}

int atoi(const char *s)
{
    int n = 0;

    while (*s >= '0' && *s <= '9')
        n = n * 10 + *s++ - '0';
    return n;
}

/* ---- printing: a line goes out in one piece ---- */

struct line {
    char text[256];
    int used;
};

static void put(struct line *l, char c)
{
    l->text[l->used++] = c;
    if (c == '\n' || l->used == sizeof l->text) {
        write(1, l->text, l->used);
        l->used = 0;
    }
}

static void put_number(struct line *l, uint64 n, uint64 base)
{
    if (n >= base)
        put_number(l, n / base, base);
    put(l, "0123456789abcdef"[n % base]);
}

static void put_signed(struct line *l, int n)
{
    if (n < 0)
        put(l, '-');
    put_number(l, n < 0 ? -(uint64)n : (uint64)n, 10);
}

void printf(const char *fmt, ...)
{
    struct line l;
    va_list ap;

    l.used = 0;
    va_start(ap, fmt);
    for (; *fmt; fmt++) {
        if (*fmt != '%' || !fmt[1]) {
            put(&l, *fmt);
            continue;
        }
        switch (*++fmt) {
        case 'd':
            put_signed(&l, va_arg(ap, int));
            break;
        case 'x':
            put_number(&l, va_arg(ap, uint), 16);
            break;
        case 'p':
            put_number(&l, (uint64)va_arg(ap, void *), 16);
            break;
        case 'c':
            put(&l, (char)va_arg(ap, int));
            break;
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++)
                put(&l, *s);
            break;
        default:
            put(&l, *fmt);
        }
    }
    va_end(ap);
    if (l.used)
        write(1, l.text, l.used);
}

/* ---- tests ---- */

int status_of_child(void)
{
    int status;

    return wait(&status) < 0 ? -1000 : status;
}

int run_tests(const struct test *tests, int count)
{
    int failed = 0;

    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        int pid = fork(), status;

        if (pid == 0) {
            tests[i].run();
            exit(0);
        }
        status = pid < 0 ? -2000 : status_of_child();
        printf("%s %d - %s\n", status ? "not ok" : "ok", i + 1, tests[i].name);
        if (status)
            printf("# status %d\n", status);
        failed += status != 0;
    }
    return failed;
}
