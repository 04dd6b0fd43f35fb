/* fork and copy-on-write: who sees which byte. After RELIABILITY's B1 to B9. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define PAGES 600 /* more than one leaf table */
#define PAGE 4096

static const char constant[] = "read-only data";
static char data[PAGES * PAGE];

static void fill(char value)
{
    for (int i = 0; i < PAGES; i++)
        data[i * PAGE + i] = value;
}

static int all(char value)
{
    for (int i = 0; i < PAGES; i++)
        if (data[i * PAGE + i] != value)
            return 0;
    return 1;
}

static int sees_a(void)
{
    return all('a') ? 0 : 1;
}

static int writes_b(void)
{
    fill('b');
    return all('b') ? 0 : 1;
}

static int grandchildren(void)
{
    static int depth;

    if (++depth == 5) {
        fill('e');
        return all('e') ? 0 : 1;
    }
    return in_child(grandchildren) == 0 && all('a') ? 0 : 1;
}

static int store_text(void)
{
    *(volatile char *)(void *)&grandchildren = 1;
    return 0;
}

static int store_rodata(void)
{
    *(volatile char *)constant = 1;
    return 0;
}

static int read_into_shared(void)
{
    int p[2];

    if (pipe(p) || write(p[1], "twelve bytes", 12) != 12)
        return 1;
    return read(p[0], data + PAGE - 6, 12) == 12 && memcmp(data + PAGE - 6, "twelve bytes", 12) == 0 ? 0 : 2;
}

static void parent_writes_while_child_lives(void)
{
    int to_child[2], from_child[2], status;
    char c = 0;
    pid_t pid;

    fill('a');
    ok(pipe(to_child) == 0 && pipe(from_child) == 0, "pipes");
    pid = fork();
    if (pid == 0) {
        if (read(to_child[0], &c, 1) != 1)
            _exit(2);
        c = all('a') ? 'y' : 'n';
        _exit(write(from_child[1], &c, 1) != 1);
    }
    fill('p');
    ok(write(to_child[1], "g", 1) == 1 && read(from_child[0], &c, 1) == 1 && c == 'y', "the child keeps the old bytes");
    ok(all('p'), "the parent keeps its new ones");
    waitpid(pid, &status, 0);
    ok(all('p'), "also when the child is gone");
}

static void shared_memory(void)
{
    volatile int *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;

    shared[0] = 1;
    pid = fork();
    if (pid == 0) {
        shared[0] = 2;
        shared[2048] = 7;
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    ok(shared[0] == 2 && shared[2048] == 7, "MAP_SHARED is shared, also pages that were not there");
    munmap((void *)shared, 3 * PAGE);
}

static char *region;

static int child_of_protected(void)
{
    region[0] = 'x'; /* read-only in the parent when it forked */
    return 0;
}

static void protection(void)
{
    region = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(region, 'r', 4 * PAGE);
    ok(mprotect(region, PAGE, PROT_READ) == 0, "mprotect");
    ok(in_child(child_of_protected) == 1000 + SIGSEGV, "read-only stays read-only in the child");
    ok(mprotect(region, PAGE, PROT_READ | PROT_WRITE) == 0 && in_child(child_of_protected) == 0 && region[0] == 'r',
       "and can be written again when that is allowed");
    ok(munmap(region + PAGE, PAGE) == 0 && region[0] == 'r' && region[2 * PAGE] == 'r', "a hole in the middle");
    munmap(region, 4 * PAGE);
}

int main(void)
{
    fill('a');
    ok(in_child(sees_a) == 0, "a child sees its parent's bytes");
    ok(in_child(writes_b) == 0, "a child writes its own");
    ok(all('a'), "and the parent keeps its own");
    ok(in_child(grandchildren) == 0 && all('a'), "five deep before any write");
    ok(in_child(store_text) == 1000 + SIGSEGV, "text is not writable after fork");
    ok(in_child(store_rodata) == 1000 + SIGSEGV, "read-only data neither");
    ok(in_child(read_into_shared) == 0 && all('a'), "read(2) into shared pages is the reader's alone");
    parent_writes_while_child_lives();
    shared_memory();
    protection();
    return done();
}
