/*
 * A process's interval timers: those of setitimer(2) and of timer_create(2).
 *
 * A timer runs by one of several clocks. By that of the wall it is armed for its
 * deadline. CPU time does not pass faster than the process has threads that run,
 * so a timer by CPU time is armed for the earliest moment that can be the one, and
 * looks again.
 *
 * All of a process's timers are made when the first is wanted. Lock:
 * process_timers.lock (RANK_PROC_MUTEX) for settings; an expiry is an interrupt
 * and does not take it, so settings are changed when the timer has been cancelled.
 */
#pragma once
#include "proc/process.h"

enum itimer_clock { ITIMER_BY_WALL, ITIMER_BY_CPU, ITIMER_BY_USER, ITIMER_BY_THREAD };
struct itimer {
    struct timer timer;
    struct process *process;
    struct thread *thread;        /* ITIMER_BY_THREAD: with a reference */
    enum itimer_clock clock;
    u64 deadline_ns, interval_ns; /* by its clock; 0: off, once */
    void (*expired)(struct itimer *t); /* interrupt */
    u64 looked_ns, pause_ns;      /* CPU clocks: what the clock showed at the last look; the pause after it */
};

enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, ITIMER_COUNT };
struct process_timers {
    struct mutex lock;
    struct itimer itimer[ITIMER_COUNT];
    struct list posix;            /* struct posix_timer */
    u32 count;
    s32 next_id;
};

/* The running process's; NULL: no memory. */
struct process_timers *process_timers(void);
void process_timers_exit(struct process *p); /* none goes off any more */
void process_timers_exec(struct process *p); /* those of timer_create go */

u64 itimer_now(const struct itimer *t);      /* ns, by its clock */
#define ITIMER_SHORTEST_NS 100000ul /* between two interrupts of one timer: so that there is time for anything else */
void itimer_init(struct itimer *t, struct process *p, enum itimer_clock clock, void (*expired)(struct itimer *t));
/* Arms it for its deadline, by the wall no sooner than so; it is not armed. */
void itimer_start(struct itimer *t, u64 soonest_ns);
u64 thread_cpu_ns(const struct thread *t), process_cpu_ns(struct process *p); /* used so far, also right now */

struct itimer_setting {
    u64 after_ns, interval_ns;    /* after 0: off */
};
/* The lock is held. */
void itimer_get(const struct itimer *t, struct itimer_setting *out);
void itimer_set(struct itimer *t, const struct itimer_setting *s);

/* ---- posix_timer.c; ns, by the timer's clock ---- */
enum { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 4 };
struct posix_timer_event {
    u64 value;
    int signo, notify;
    u32 tid;
};
/* clock as for struct itimer; thread: ITIMER_BY_THREAD's, not taken over; realtime: absolute times are of the wall
 * clock, which may be set; value_is_id: the event's value is the timer's number. That number, or -EINVAL, -EAGAIN. */
s64 posix_timer_create(enum itimer_clock clock, struct thread *thread, bool realtime, const struct posix_timer_event *event,
                       bool value_is_id);
s64 posix_timer_delete(s32 id);
s64 posix_timer_get(s32 id, struct itimer_setting *out);
s64 posix_timer_set(s32 id, bool absolute, const struct itimer_setting *s, struct itimer_setting *old);
s64 posix_timer_overrun(s32 id);
/* A timer's signal is about to be delivered to the running process, or read: its overrun is filled in, it runs again. */
void posix_timer_delivered(struct siginfo *info);
void posix_timers_clock_was_set(s64 ahead_ns); /* by so much */
void posix_timers_drop(struct process_timers *all);
