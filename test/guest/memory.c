/* mmap, munmap, mprotect, mremap, brk, files in memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul

static char *anonymous(size_t pages)
{
    return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void zeroed(void)
{
    char *p = anonymous(300);
    int sum = 0;

    for (size_t i = 0; i < 300 * PAGE; i += 512)
        sum += p[i];
    ok(p != MAP_FAILED && sum == 0, "new memory is zero");
    memset(p, 'x', 300 * PAGE);
    ok(madvise(p, 300 * PAGE, MADV_DONTNEED) == 0 && p[5 * PAGE] == 0, "and again after MADV_DONTNEED");
    ok(munmap(p, 300 * PAGE) == 0, "munmap");
}

static void remaps(void)
{
    char *p = anonymous(4), *q;

    for (int i = 0; i < 4; i++)
        p[i * PAGE] = (char)('0' + i);
    q = mremap(p, 4 * PAGE, 700 * PAGE, MREMAP_MAYMOVE);
    ok(q != MAP_FAILED && q[0] == '0' && q[3 * PAGE] == '3' && q[699 * PAGE] == 0, "mremap grows");
    q = mremap(q, 700 * PAGE, 2 * PAGE, 0);
    ok(q != MAP_FAILED && q[PAGE] == '1', "and shrinks");
    munmap(q, 2 * PAGE);
}

static void file_pages(void)
{
    int fd = open("/tmp/memory-test", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *shared, *private, c = 0;

    ok(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0 && pwrite(fd, "file", 4, PAGE) == 4, "a file");
    shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    private = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    ok(memcmp(shared + PAGE, "file", 4) == 0 && memcmp(private + PAGE, "file", 4) == 0, "mapped twice");
    shared[PAGE] = 'F';
    ok(private[PAGE] == 'F' && pread(fd, &c, 1, PAGE) == 1 && c == 'F', "a shared store is the file's");
    private[PAGE] = 'p';
    ok(shared[PAGE] == 'F', "a private one is not");
    ok(pwrite(fd, "w", 1, PAGE + 1) == 1 && shared[PAGE + 1] == 'w', "write(2) is seen in the mapping");
    munmap(shared, 3 * PAGE);
    munmap(private, 3 * PAGE);
    close(fd);
    unlink("/tmp/memory-test");
}

static void errors(void)
{
    char *p = anonymous(2);

    ok(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL, "length 0");
    ok(mmap(p + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL,
       "an odd address");
    ok(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0) == MAP_FAILED && errno == EBADF, "a bad descriptor");
    ok(munmap(p + 1, PAGE) == -1 && errno == EINVAL, "munmap of an odd address");
    ok(mprotect((void *)0x7000000, PAGE, PROT_READ) == -1 && errno == ENOMEM, "mprotect of nothing");
    munmap(p, 2 * PAGE);
}

static void breaks(void)
{
    char *start = sbrk(0);

    ok(sbrk(100 * (long)PAGE) == start, "sbrk");
    start[99 * PAGE] = 1;
    ok(sbrk(-100 * (long)PAGE) == start + 100 * PAGE && sbrk(0) == start, "and back");
}

static void moving_without_unmapping(void)
{
    char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q, *at;

    memset(p, 'x', 4 * 4096);
    q = mremap(p, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */);
    ok(q != MAP_FAILED && q != p && q[0] == 'x' && q[4 * 4096 - 1] == 'x', "MREMAP_DONTUNMAP moves the pages");
    ok(p[0] == 0 && p[4 * 4096 - 1] == 0, "and leaves the mapping, empty");
    p[0] = 'y';
    ok(q[0] == 'x', "they are two");
    at = mmap(NULL, 4 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ok(mremap(q, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED | 4, at) == at && at[4096] == 'x' && q[4096] == 0, "to a place");
    ok(mremap(p, 4 * 4096, 4 * 4096, 4) == MAP_FAILED && errno == EINVAL &&
           mremap(p, 4096, 2 * 4096, MREMAP_MAYMOVE | 4) == MAP_FAILED && errno == EINVAL,
       "what is refused");
    munmap(p, 4 * 4096);
    munmap(q, 4 * 4096);
    munmap(at, 4 * 4096);
}

static void segments(void)
{
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600), status;
    struct shmid_ds d;
    char *p, *q;

    ok(id >= 0 && shmctl(id, IPC_STAT, &d) == 0 && d.shm_segsz == 10000 && d.shm_nattch == 0 && d.shm_cpid == getpid(), "a System V segment");
    p = shmat(id, NULL, 0);
    q = shmat(id, NULL, SHM_RDONLY);
    ok(p != (void *)-1 && q != (void *)-1 && p != q && shmctl(id, IPC_STAT, &d) == 0 && d.shm_nattch == 2, "attached twice");
    p[5000] = 7;
    if (fork() == 0) {
        p[5001] = 8;
        _exit(shmctl(id, IPC_STAT, &d) || d.shm_nattch != 4 || q[5000] != 7);
    }
    wait(&status);
    ok(status == 0 && q[5001] == 8, "a child shares it");
    ok(shmdt(q) == 0 && shmdt(q) == -1 && errno == EINVAL && shmctl(id, IPC_STAT, &d) == 0 && d.shm_nattch == 1, "detached");
    ok(shmctl(id, IPC_RMID, NULL) == 0 && p[5000] == 7, "removed, but still here");
    ok(shmdt(p) == 0 && shmat(id, NULL, 0) == (void *)-1, "gone");
    id = shmget(0x0c0a51, 4096, IPC_CREAT | IPC_EXCL | 0600);
    ok(id >= 0 && shmget(0x0c0a51, 4096, IPC_CREAT | IPC_EXCL) == -1 && errno == EEXIST && shmget(0x0c0a51, 0, 0) == id &&
           shmget(0x0c0a51, 8192, 0) == -1 && errno == EINVAL,
       "by its key");
    shmctl(id, IPC_RMID, NULL);
    ok(shmget(0x0c0a51, 4096, 0) == -1 && errno == ENOENT, "none");
}

int main(void)
{
    zeroed();
    remaps();
    file_pages();
    errors();
    breaks();
    moving_without_unmapping();
    segments();
    return done();
}
