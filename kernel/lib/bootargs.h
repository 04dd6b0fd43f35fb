/* The words of the boot command line: NAME or NAME=VALUE, values may be "quoted". bootargs.c has the table of names. */
#pragma once
#include "lib/types.h"

void bootargs_parse(const char *line); /* once, at boot; warns of words that the kernel does not know */
const char *bootarg(const char *name); /* its value (the last one given), "" if it has none; NULL: not given */
/* A decimal number, with K, M or G for 2^10, 2^20, 2^30; a bad or out-of-range value: a warning, and the fallback. */
u64 bootarg_u64(const char *name, u64 fallback, u64 min, u64 max);
