/*
 * The load average: the number of threads that run or could, sampled every five
 * seconds, as exponentially decaying means over 1, 5 and 15 minutes. The timer's
 * callback is the only writer.
 */
#include "proc/sched.h"
#include "sys/misc.h"
#include "sys/syscall.h"

#define PERIOD_NS (5 * NS_PER_SEC)

static u64 average[3];
static struct timer timer;

static void sample(struct timer *t)
{
    static const u64 decay[3] = {60296, 64453, 65173}; /* e^(-5/60), e^(-5/300), e^(-5/900), of LOAD_ONE */
    u64 running = sched_runnable() * LOAD_ONE;

    for (unsigned i = 0; i < 3; i++)
        WRITE_ONCE(average[i], (average[i] * decay[i] + running * (LOAD_ONE - decay[i]) + LOAD_ONE / 2) / LOAD_ONE);
    timer_arm(t, t->deadline_ns + PERIOD_NS);
}

void load_init(void)
{
    timer.fn = sample;
    timer_arm(&timer, arch_time_ns() + PERIOD_NS);
}

void load_average(u64 load[3])
{
    for (unsigned i = 0; i < 3; i++)
        load[i] = READ_ONCE(average[i]);
}
