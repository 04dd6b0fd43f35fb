/* Advisory locks on files. */
#pragma once
#include "fs/file.h"

int file_flock(struct file *f, bool unlock, bool exclusive, bool wait); /* 0, -EAGAIN, -ERESTARTSYS, -ENOLCK */

enum range_op { RANGE_TEST, RANGE_TRY, RANGE_WAIT };
struct range_lock {
    bool unlock, exclusive;
    u64 start, end; /* end: first byte behind */
    u32 pid;        /* RANGE_TEST: who has what is in the way (then unlock is false) */
};
int file_range_lock(struct file *f, struct range_lock *r, enum range_op op);
