/* What a program may not do with its own memory: page 0, text and constants, stacks and data that are not code. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)

#if defined(__riscv)
static const unsigned char return_code[] = {0x82, 0x80};
#else
static const unsigned char return_code[] = {0xc3};
#endif
static unsigned char data_code[64] __attribute__((aligned(64)));
static sigjmp_buf faulted;
static volatile uintptr_t fault_at;
static volatile int fault_code;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    fault_at = (uintptr_t)info->si_addr;
    fault_code = info->si_code;
    siglongjmp(faulted, 1);
}

/* Does it end in SIGSEGV, at that address? */
static int segv(void (*access)(volatile unsigned char *), volatile void *at)
{
    fault_at = 1;
    if (sigsetjmp(faulted, 1))
        return fault_at == (uintptr_t)at;
    access(at);
    return 0;
}

static void load(volatile unsigned char *at)
{
    (void)*at;
}

static void store(volatile unsigned char *at)
{
    *at = 1;
}

static void jump(volatile unsigned char *at)
{
    ((void (*)(void))(uintptr_t)at)();
}

static void *planted(void *at)
{
    memcpy(at, return_code, sizeof return_code);
    __builtin___clear_cache(at, (char *)at + sizeof return_code);
    return at;
}

static int mapping_page_0_is_refused(void)
{
    if (geteuid() == 0 && (setgid(12347) || setuid(12347)))
        return 0;
    return mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && (errno == EPERM || errno == ENOMEM);
}

static void page_0(void)
{
    char *hinted = mmap((void *)1, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status;

    ok(segv(load, NULL) && segv(load, (void *)0xfff), "a load from page 0");
    ok(segv(store, NULL) && segv(store, (void *)0xfff), "a store to it");
    ok(segv(jump, NULL), "a jump to it");
    ok(hinted != MAP_FAILED && (uintptr_t)hinted >= 0x10000, "no mapping goes there by itself");
    munmap(hinted, PAGE);
    if (fork() == 0)
        _exit(!mapping_page_0_is_refused());
    ok(wait(&status) > 0 && status == 0, "nor at a program's wish");
}

static void code_and_constants(void)
{
    static char *const words[] = {"in .data.rel.ro or .rodata"};

    ok(segv(store, (void *)(uintptr_t)page_0) && fault_code == SEGV_ACCERR, "text cannot be written");
    ok(segv(store, (void *)(uintptr_t)return_code) && fault_code == SEGV_ACCERR, "constants cannot");
    ok(segv(store, words[0]) && fault_code == SEGV_ACCERR, "strings cannot");
    ok(segv(jump, planted(data_code)) && fault_code == SEGV_ACCERR, "data is not executed");
}

static void stack_and_heap(void)
{
    unsigned char room[64] __attribute__((aligned(64)));
    void *heap = malloc(64);
    unsigned char *p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ok(segv(jump, planted(room)) && fault_code == SEGV_ACCERR, "a stack is not executed");
    ok(segv(jump, planted(heap)) && fault_code == SEGV_ACCERR, "the heap is not");
    ok(segv(jump, planted(p)) && fault_code == SEGV_ACCERR, "a mapping is not");
    ok(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0 && !segv(jump, p), "until it is made so");
    ok(segv(store, p) && fault_code == SEGV_ACCERR, "and then cannot be written");
    ok(mprotect(p, PAGE, RW | PROT_EXEC) == 0 && !segv(store, p + 32) && !segv(jump, planted(p)), "both at once may be asked for");
    ok(mprotect(p, PAGE, PROT_NONE) == 0 && segv(load, p) && segv(store, p) && segv(jump, p), "no access is none");
    ok(!segv(store, p + PAGE), "its neighbour stays as it was");
    munmap(p, 2 * PAGE);
    ok(segv(load, p) && fault_code == SEGV_MAPERR, "what is unmapped is gone");
    free(heap);
}

/* All of it also holds in a child, whose tables are its parent's. */
static int all_again(void)
{
    int before = tap_failed;

    page_0();
    code_and_constants();
    stack_and_heap();
    return tap_failed - before;
}

int main(void)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int status;

    sigaction(SIGSEGV, &act, NULL);
    page_0();
    code_and_constants();
    stack_and_heap();
    fflush(stdout);
    if (fork() == 0) {
        fclose(stdout);
        stdout = fopen("/dev/null", "w");
        _exit(all_again());
    }
    ok(wait(&status) > 0 && status == 0, "and all of it in a child");
    return done();
}
