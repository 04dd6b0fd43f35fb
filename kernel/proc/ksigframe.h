/* What a signal frame carries, between proc/signal_deliver.c and the machine. */
#pragma once
#include "lib/types.h"

/* Linux's siginfo_t: 128 bytes on every 64-bit machine (asm-generic/siginfo.h). */
struct siginfo {
    s32 signo, error, code;
    s32 from_timer; /* the kernel's own: posix_timer.c; 0 when a program sees it */
    union {
        struct { /* kill, sigqueue, SIGCHLD */
            s32 pid;
            u32 uid;
            union {
                s32 status;
                u64 value;
            };
            s64 utime, stime;
        };
        u64 addr; /* faults */
        struct {  /* timers */
            s32 timer_id, overrun;
        };
        u8 bytes[112];
    };
};
_Static_assert(sizeof(struct siginfo) == 128, "Linux's ABI");

struct ksigframe_args {
    int signo;
    const struct siginfo *info;
    vaddr_t handler, sigreturn; /* sigreturn: what the handler returns to */
    u64 flags;                  /* SA_* */
    u64 mask;                   /* restored by sigreturn */
    struct {
        vaddr_t sp;
        u64 size;
        u32 flags;
    } altstack;                 /* as it stood */
    vaddr_t sp;                 /* below which the frame goes */
};
