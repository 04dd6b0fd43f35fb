/*
 * The interface of xv6 for RISC-V, as its programs see it: 21 system calls and the
 * structures that they fill in. Written from the interface, for programs of ours that
 * are to run on Cowslip and on xv6 alike.
 */
#pragma once

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long uint64;

#define PAGE 4096ul

/* open's modes */
#define O_RDONLY 0x000
#define O_WRONLY 0x001
#define O_RDWR 0x002
#define O_CREATE 0x200
#define O_TRUNC 0x400

#define T_DIR 1
#define T_FILE 2
#define T_DEVICE 3
struct stat {
    int dev;
    uint ino;
    short type, nlink;
    uint64 size;
};

#define DIRSIZ 14
struct dirent {
    ushort inum;
    char name[DIRSIZ];
};

#define SBRK_EAGER 1
#define SBRK_LAZY 2

int fork(void);
int exit(int status) __attribute__((noreturn));
int wait(int *status);
int pipe(int fds[2]);
int read(int fd, void *buf, int n);
int kill(int pid);
int exec(const char *path, char **argv);
int fstat(int fd, struct stat *st);
int chdir(const char *path);
int dup(int fd);
int getpid(void);
char *sys_sbrk(int n, int how);
int sleep(int ticks);
int uptime(void);
int open(const char *path, int mode);
int write(int fd, const void *buf, int n);
int mknod(const char *path, short major, short minor);
int unlink(const char *path);
int link(const char *old, const char *new);
int mkdir(const char *path);
int close(int fd);

static inline char *sbrk(int n)
{
    return sys_sbrk(n, SBRK_EAGER);
}
#define SBRK_ERROR ((char *)-1)

/* ---- lib.c ---- */
uint64 strlen(const char *s);
int strcmp(const char *a, const char *b);
void *memset(void *dst, int c, uint64 n);
void *memcpy(void *dst, const void *src, uint64 n);
int atoi(const char *s);
void printf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* %d %x %s %p %c %% */

/* ---- tests, each in a child of its own; "ok" if it ends with status 0 (TAP) ---- */
struct test {
    const char *name;
    void (*run)(void);
};
int run_tests(const struct test *tests, int count); /* how many failed */
#define CHECK(what)                                                                                      \
    do {                                                                                                 \
        if (!(what)) {                                                                                   \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                     \
        }                                                                                                \
    } while (0)
/* Waits for a child; its status. */
int status_of_child(void);
