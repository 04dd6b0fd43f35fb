/* What the system calls itself: uname(2), /proc/version. */
#pragma once
#define SYSTEM_NAME "Linux" /* the ABI that programs ask about */
#define SYSTEM_RELEASE "6.12.0-cowslip"
#define SYSTEM_VERSION "#1 Cowslip"
extern char system_hostname[], system_domainname[];
int system_hostname_set(const char *name, unsigned long n); /* 0 or -EINVAL */

/* ---- load.c: how many threads want to run, over 1, 5 and 15 minutes ---- */
#define LOAD_ONE 65536ul /* one thread; the unit of sysinfo(2), too */
void load_init(void);
void load_average(unsigned long load[3]);
/* A result of writing: into a pipe that nobody reads any more is also a signal. */
ssize_t sys_written(ssize_t n);
struct file;
struct uio;
/* RLIMIT_FSIZE: cuts a write to a regular file at pos short. 0, or -EFBIG with SIGXFSZ. */
ssize_t sys_limit_write(struct file *f, struct uio *u, u64 pos);
