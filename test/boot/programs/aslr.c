/*
 * Where did spot lie, all those times? How many different values were there of each, and how many bits of chance would
 * give so many?
 *
 * aslr EXECS
 */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STACK, MAPPINGS, PROGRAM, HEAP, VDSO, PLACES };
static const char *const names[PLACES] = {"stack", "mappings", "program", "heap", "vdso"};

static int ascending(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

    return x < y ? -1 : x > y;
}

/* N equally likely values, n draws: N * (1 - (1 - 1/N)^n) different ones are to be expected. Returns log2 N. */
static double bits_of(double different, double n)
{
    double low = 0, high = 40;

    if (different <= 1)
        return 0;
    if (different >= n)
        return high;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2, values = pow(2, middle);
        if (values * -expm1(n * log1p(-1 / values)) < different)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void report(int fd, long n)
{
    uintptr_t (*all)[PLACES] = malloc((size_t)n * sizeof *all), *one = malloc((size_t)n * sizeof *one);

    if (pread(fd, all, (size_t)n * sizeof *all, 0) != (ssize_t)((size_t)n * sizeof *all))
        exit(1);
    for (int k = 0; k < PLACES; k++) {
        long different = 1;
        for (long i = 0; i < n; i++)
            one[i] = all[i][k];
        qsort(one, (size_t)n, sizeof *one, ascending);
        for (long i = 1; i < n; i++)
            different += one[i] != one[i - 1];
        printf("%s %ld different, %.2f bits, from %#lx to %#lx\n", names[k], different, bits_of((double)different, (double)n),
               (unsigned long)one[0], (unsigned long)one[n - 1]);
    }
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 100;
    int fd = open("/tmp/spots", O_RDONLY);

    if (fd < 0)
        return 1;
    report(fd, n);
    return 0;
}
