/*
 * What callfuzz knows about each system call: a letter for each argument.
 *
 *   f descriptor        D directory's descriptor   P path          N short name      b buffer to be filled
 *   s its size          i structure of plausible words             V iovec array     v its length
 *   T timespec, short   t itimerspec or itimerval  G signal set    8 a set's size    K signal
 *   W process           X anything                 O open flags    M protection      F mmap flags
 *   m mode              R resource                 C clock         o offset          w small number
 *   A address in pages  L length in pages          e epoll's operation               E epoll_event
 *   c fcntl's command   j ioctl's command          z random bits   U user            S sigaction
 *   y sigevent          H timer                    u futex word    x futex's operation
 *   a advice            p prctl's option           g clone's flags r array of strings
 *   h shm's number      k shm's key                l offset's place                  0 zero
 *   Z epoll's own       Q a message queue          J end of a pipe  B mq_attr        I clone_args
 *   2 header of capget  Y type of file system      ! a program      ~ a place to mount on
 *   1 futex's operation that does not sleep        3 mq_open's flags                 4 8192 mostly
 *   7 size of open_how  9 sched_attr               # pollfd array
 *   6 directory         5 clone_args' size         q arch_prctl's operation
 *
 * `how`: ENDS: may end the process or change where it is, so is called seldom; SLEEPS: may take long, less often; FORKS: makes a process.
 */
#pragma once
#include <sys/syscall.h>

enum { ENDS = 1, SLEEPS, FORKS };

static const struct call {
    short number;
    char args[7];
    char how;
} calls[] = {
    {SYS_read, "fbs", 0}, {SYS_write, "fis", 0}, {SYS_readv, "fVv", 0}, {SYS_writev, "fVv", 0}, {SYS_pread64, "fbso", 0},
    {SYS_pwrite64, "fiso", 0}, {SYS_preadv, "fVvo", 0}, {SYS_pwritev, "fVvo", 0}, {SYS_openat, "DPOm", 0}, {SYS_close, "f", 0},
    {SYS_close_range, "ffw", 0}, {SYS_fstat, "fb", 0}, {SYS_newfstatat, "DPbz", 0}, {SYS_statx, "DPzzb", 0}, {SYS_lseek, "fow", 0},
    {SYS_getdents64, "6bs", 0}, {SYS_fcntl, "fcX", 0}, {SYS_fcntl, "fcb", 0}, {SYS_fcntl, "fci", 0}, {SYS_fcntl, "fcw", 0},
    {SYS_ioctl, "fjb", 0}, {SYS_ioctl, "fji", 0}, {SYS_ioctl, "fjw", 0}, {SYS_flock, "fw", SLEEPS}, {SYS_fsync, "f", 0},
    {SYS_fdatasync, "f", 0}, {SYS_sync, "", 0}, {SYS_syncfs, "f", 0}, {SYS_truncate, "Po", 0}, {SYS_ftruncate, "fo", 0},
    {SYS_fallocate, "fwoo", 0}, {SYS_fadvise64, "foow", 0}, {SYS_dup, "f", 0}, {SYS_dup3, "ffO", 0}, {SYS_pipe2, "bO", 0},
    {SYS_eventfd2, "wO", 0}, {SYS_epoll_create1, "O", 0}, {SYS_epoll_ctl, "ZefE", 0}, {SYS_epoll_pwait, "ZbwwG8", SLEEPS},
    {SYS_epoll_pwait2, "ZbwTG8", SLEEPS}, {SYS_timerfd_create, "CO", 0}, {SYS_timerfd_settime, "fwtb", 0},
    {SYS_timerfd_gettime, "fb", 0}, {SYS_signalfd4, "fG8O", 0}, {SYS_memfd_create, "Nz", 0}, {SYS_splice, "Jlflsw", 0},
    {SYS_splice, "f0J0sw", 0}, {SYS_tee, "JJsw", 0}, {SYS_vmsplice, "JVvw", 0}, {SYS_sendfile, "ffls", 0},
    {SYS_copy_file_range, "flflsw", 0}, {SYS_getcwd, "bs", 0}, {SYS_chdir, "P", 0}, {SYS_fchdir, "f", 0}, {SYS_chroot, "P", ENDS},
    {SYS_mkdirat, "DPm", 0}, {SYS_mknodat, "DPmw", 0}, {SYS_unlinkat, "DPz", 0}, {SYS_symlinkat, "PDP", 0}, {SYS_linkat, "DPDPz", 0},
    {SYS_renameat2, "DPDPw", 0}, {SYS_readlinkat, "DPbs", 0}, {SYS_faccessat, "DPw", 0}, {SYS_faccessat2, "DPwz", 0},
    {SYS_fchmod, "fm", 0}, {SYS_fchmodat, "DPm", 0}, {SYS_fchown, "fUU", 0}, {SYS_fchownat, "DPUUz", 0}, {SYS_utimensat, "DPiz", 0},
    {SYS_openat2, "DPi7", 0}, {SYS_statfs, "Pb", 0}, {SYS_fstatfs, "fb", 0}, {SYS_mount, "N~Yz0", 0}, {SYS_umount2, "Pw", 0},
    {SYS_umask, "m", 0}, {SYS_pselect6, "wbbbTi", SLEEPS}, {SYS_ppoll, "#vTG8", SLEEPS}, {SYS_mmap, "ALMFfo", 0},
    {SYS_mmap, "ALMFfo", 0}, {SYS_munmap, "AL", 0}, {SYS_mprotect, "ALM", 0}, {SYS_mremap, "ALLwA", 0}, {SYS_madvise, "ALa", 0},
    {SYS_msync, "ALw", 0}, {SYS_mincore, "ALb", 0}, {SYS_mlock, "AL", 0}, {SYS_mlock2, "ALw", 0}, {SYS_munlock, "AL", 0},
    {SYS_mlockall, "w", SLEEPS}, {SYS_munlockall, "", 0}, {SYS_brk, "X", 0}, {SYS_membarrier, "ww", 0}, {SYS_shmget, "ksz", 0},
    {SYS_shmat, "hAz", 0}, {SYS_shmdt, "A", 0}, {SYS_shmctl, "hwb", 0}, {SYS_clone, "gAbbX", FORKS}, {SYS_clone3, "I5", FORKS},
    {SYS_execve, "!rr", ENDS}, {SYS_execveat, "D!rrz", ENDS}, {SYS_exit, "w", ENDS}, {SYS_exit_group, "w", ENDS},
    {SYS_wait4, "Wbwb", 0}, {SYS_waitid, "wWbwb", 0}, {SYS_kill, "WK", 0}, {SYS_tkill, "WK", 0}, {SYS_tgkill, "WWK", 0},
    {SYS_rt_sigqueueinfo, "WKi", 0}, {SYS_rt_tgsigqueueinfo, "WWKi", 0}, {SYS_rt_sigaction, "KSb8", 0}, {SYS_rt_sigprocmask, "wGb8", 0},
    {SYS_rt_sigpending, "b8", 0}, {SYS_rt_sigsuspend, "G8", SLEEPS}, {SYS_rt_sigtimedwait, "GbT8", SLEEPS}, {SYS_rt_sigreturn, "", ENDS},
    {SYS_sigaltstack, "ib", 0}, {SYS_futex, "uxwTuw", SLEEPS}, {SYS_futex, "u1wTuw", 0}, {SYS_set_robust_list, "is", 0},
    {SYS_get_robust_list, "Wbb", 0}, {SYS_set_tid_address, "b", 0}, {SYS_restart_syscall, "", SLEEPS}, {SYS_nanosleep, "Tb", SLEEPS},
    {SYS_clock_nanosleep, "CwTb", SLEEPS}, {SYS_clock_gettime, "Cb", 0}, {SYS_clock_getres, "Cb", 0}, {SYS_clock_settime, "CT", 0},
    {SYS_gettimeofday, "bb", 0}, {SYS_settimeofday, "Tb", 0}, {SYS_times, "b", 0}, {SYS_getitimer, "wb", 0}, {SYS_setitimer, "wtb", 0},
    {SYS_timer_create, "Cyb", 0}, {SYS_timer_settime, "Hwtb", 0}, {SYS_timer_gettime, "Hb", 0}, {SYS_timer_getoverrun, "H", 0},
    {SYS_timer_delete, "H", 0}, {SYS_getpid, "", 0}, {SYS_getppid, "", 0}, {SYS_gettid, "", 0}, {SYS_getpgid, "W", 0},
    {SYS_setpgid, "WW", 0}, {SYS_getsid, "W", 0}, {SYS_setsid, "", 0}, {SYS_getuid, "", 0}, {SYS_geteuid, "", 0}, {SYS_getgid, "", 0},
    {SYS_getegid, "", 0}, {SYS_getresuid, "bbb", 0}, {SYS_getresgid, "bbb", 0}, {SYS_setuid, "U", 0}, {SYS_setgid, "U", 0},
    {SYS_setreuid, "UU", 0}, {SYS_setregid, "UU", 0}, {SYS_setresuid, "UUU", 0}, {SYS_setresgid, "UUU", 0}, {SYS_setfsuid, "U", 0},
    {SYS_setfsgid, "U", 0}, {SYS_getgroups, "wb", 0}, {SYS_setgroups, "wi", 0}, {SYS_capget, "2b", 0}, {SYS_capset, "2i", 0},
    {SYS_personality, "w", 0}, {SYS_prctl, "pXXXX", 0}, {SYS_prctl, "pb000", 0}, {SYS_prctl, "pw000", 0}, {SYS_getrlimit, "Rb", 0},
    {SYS_setrlimit, "Ri", 0}, {SYS_prlimit64, "WRib", 0}, {SYS_prlimit64, "WR0b", 0}, {SYS_getrusage, "wb", 0}, {SYS_uname, "b", 0},
    {SYS_sysinfo, "b", 0}, {SYS_syslog, "wbs", 0}, {SYS_sethostname, "Nw", 0}, {SYS_setdomainname, "Nw", 0}, {SYS_reboot, "XXXX", 0},
    {SYS_getrandom, "bsw", 0}, {SYS_getcpu, "bbb", 0}, {SYS_sched_yield, "", 0}, {SYS_sched_getaffinity, "Wsb", 0},
    {SYS_sched_setaffinity, "Wsi", 0}, {SYS_sched_getattr, "Wbs0", 0}, {SYS_sched_setattr, "W90", 0}, {SYS_sched_getparam, "Wb", 0},
    {SYS_sched_setparam, "Wi", 0}, {SYS_sched_getscheduler, "W", 0}, {SYS_sched_setscheduler, "Wwi", 0},
    {SYS_sched_get_priority_max, "w", 0}, {SYS_sched_get_priority_min, "w", 0}, {SYS_sched_rr_get_interval, "Wb", 0},
    {SYS_getpriority, "wW", 0}, {SYS_setpriority, "wWw", 0}, {SYS_mq_open, "N3mB", 0}, {SYS_mq_unlink, "N", 0},
    {SYS_mq_timedsend, "QiswT", 0}, {SYS_mq_timedreceive, "Qb4bT", 0}, {SYS_mq_notify, "Qy", 0}, {SYS_mq_getsetattr, "QBb", 0},
#ifdef SYS_riscv_flush_icache
    {SYS_riscv_flush_icache, "XXw", 0}, {258 /* riscv_hwprobe */, "iwwbz", 0},
#endif
#ifdef SYS_open /* what the older machine has besides */
    {SYS_open, "POm", 0}, {SYS_stat, "Pb", 0}, {SYS_lstat, "Pb", 0}, {SYS_poll, "#vw", SLEEPS}, {SYS_access, "Pw", 0}, {SYS_pipe, "b", 0},
    {SYS_select, "wbbbt", SLEEPS}, {SYS_dup2, "ff", 0}, {SYS_pause, "", SLEEPS}, {SYS_alarm, "w", 0}, {SYS_fork, "", FORKS},
    {SYS_vfork, "", FORKS}, {SYS_rename, "PP", 0}, {SYS_mkdir, "Pm", 0}, {SYS_rmdir, "P", 0}, {SYS_creat, "Pm", 0}, {SYS_link, "PP", 0},
    {SYS_unlink, "P", 0}, {SYS_symlink, "PP", 0}, {SYS_readlink, "Pbs", 0}, {SYS_chmod, "Pm", 0}, {SYS_chown, "PUU", 0},
    {SYS_lchown, "PUU", 0}, {SYS_getpgrp, "", 0}, {SYS_utime, "Pi", 0}, {SYS_mknod, "Pmw", 0}, {SYS_arch_prctl, "qX", 0},
    {SYS_arch_prctl, "qb", 0}, {SYS_time, "b", 0}, {SYS_epoll_create, "w", 0}, {SYS_epoll_wait, "Zbww", SLEEPS}, {SYS_utimes, "Pi", 0},
    {SYS_futimesat, "DPi", 0}, {SYS_renameat, "DPDP", 0}, {SYS_signalfd, "fG8", 0}, {SYS_eventfd, "w", 0},
#endif
};
#define CALL_COUNT (sizeof calls / sizeof *calls)

/* The argument that names a process, for calls that change what it names: a root process of the fuzzer is not to reach others. */
static const struct {
    short number, arg;
} names_process[] = {
    {SYS_kill, 0}, {SYS_tkill, 0}, {SYS_tgkill, 0}, {SYS_tgkill, 1}, {SYS_rt_sigqueueinfo, 0}, {SYS_rt_tgsigqueueinfo, 0},
    {SYS_rt_tgsigqueueinfo, 1}, {SYS_prlimit64, 0}, {SYS_sched_setaffinity, 0}, {SYS_sched_setattr, 0}, {SYS_sched_setparam, 0},
    {SYS_sched_setscheduler, 0}, {SYS_setpriority, 1}, {SYS_setpgid, 0},
};
