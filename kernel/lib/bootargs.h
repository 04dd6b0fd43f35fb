/* The words of the boot command line: NAME or NAME=VALUE, values may be "quoted". */
#pragma once
#include "lib/types.h"

void bootargs_parse(const char *line); /* once, at boot; warns of words that the kernel does not know */
const char *bootarg(const char *name); /* its value, "" if it has none; NULL: not given */
/* A number with K, M or G; a bad or out-of-range value: a warning, and the default. */
u64 bootarg_u64(const char *name, u64 fallback, u64 min, u64 max);
