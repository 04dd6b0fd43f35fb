/* Bits of words. */
#pragma once
#include "lib/types.h"

/*
 * The number of the lowest bit that is set; v is not 0. By multiplication with a
 * de Bruijn sequence (Leiserson, Prokop, Randall 1998): the base instruction
 * set of RISC-V does not count zeros.
 */
static inline unsigned lowest_bit(u64 v)
{
    static const u8 position[64] = {
        0, 1, 2, 7, 3, 13, 8, 19, 4, 25, 14, 28, 9, 34, 20, 40,
        5, 17, 26, 38, 15, 46, 29, 48, 10, 31, 35, 54, 21, 50, 41, 57,
        63, 6, 12, 18, 24, 27, 33, 39, 16, 37, 45, 47, 30, 53, 49, 56,
        62, 11, 23, 32, 36, 44, 52, 55, 61, 22, 43, 51, 60, 42, 59, 58};

    return position[(v & -v) * 0x0218a392cd3d5dbful >> 58];
}
