/* Random numbers: ChaCha20 (RFC 8439) with fast key erasure. Any context. */
#pragma once
#include "lib/types.h"

void random_init(void); /* boot: the firmware's seed (wiped afterwards), the clocks, and how time passes */
void random_seed(const void *seed, size_t n); /* mixes in; may be called again */
void random_bytes(void *buf, size_t n);
u64 random_u64(void);
