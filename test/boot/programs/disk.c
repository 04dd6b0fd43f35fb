/*
 * A disk, seen by programs. disk MODE DEVICE [NUMBER]; prints "ok ..." and what the host compares.
 *   sizes       what stat, lseek and ioctls say; reading and writing at the end
 *   random N    N writes at any offset and of any length, each read back; then the whole device against a copy in memory
 *   share N     4 processes write records that are neighbours in the same blocks, N rounds
 *   fork N      a thread reads and writes while the process forks; neither side sees what the other does (RELIABILITY A3)
 *   read-only   writes are refused
 *   error OFFSET  the block there cannot be read, others can
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLKROGET 0x125e
#define BLKGETSIZE 0x1260
#define BLKSSZGET 0x1268
#define BLKGETSIZE64 0x80081272
#define LONGEST 150000
#define RECORD 700
#define PROCESSES 4

static int fd;
static off_t size;

#define CHECK(cond)                                                                     \
    do {                                                                                \
        if (!(cond)) {                                                                  \
            printf("line %d: %s (errno %d)\n", __LINE__, #cond, errno);                 \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

static uint32_t crc(const uint8_t *p, size_t n)
{
    uint32_t c = ~0u;

    while (n--) {
        c ^= *p++;
        for (int i = 0; i < 8; i++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
    }
    return ~c;
}

static uint64_t chance(uint64_t below)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void read_all(uint8_t *to)
{
    for (off_t at = 0; at < size;) {
        ssize_t n = pread(fd, to + at, (size_t)(size - at), at);
        CHECK(n > 0);
        at += n;
    }
}

static void sizes(void)
{
    uint8_t bytes[2000], more[2000];
    uint64_t bytes64;
    unsigned long sectors;
    int block, read_only = -1;
    struct stat s;
    void *nowhere;

    CHECK(fstat(fd, &s) == 0 && S_ISBLK(s.st_mode) && major(s.st_rdev) == 254 && s.st_size == 0);
    CHECK(ioctl(fd, BLKGETSIZE64, &bytes64) == 0 && bytes64 == (uint64_t)size);
    CHECK(ioctl(fd, BLKGETSIZE, &sectors) == 0 && sectors == (uint64_t)size / 512);
    CHECK(ioctl(fd, BLKSSZGET, &block) == 0 && size % block == 0);
    CHECK(ioctl(fd, BLKROGET, &read_only) == 0 && read_only == 0);
    CHECK(ioctl(fd, 0x5401, bytes) == -1 && errno == ENOTTY);
    CHECK(lseek(fd, -1000, SEEK_END) == size - 1000 && read(fd, bytes, sizeof bytes) == 1000 && read(fd, bytes, 1) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == size);
    CHECK(lseek(fd, 1, SEEK_END) == -1 && errno == EINVAL && lseek(fd, size + 1, SEEK_SET) == -1 && errno == EINVAL);
    CHECK(lseek(fd, 0, SEEK_CUR) == size);
    CHECK(write(fd, bytes, 1) == -1 && errno == ENOSPC);
    memset(bytes, 0xa5, sizeof bytes);
    CHECK(pwrite(fd, bytes, sizeof bytes, size - 700) == 700);
    CHECK(pread(fd, more, sizeof more, size - 700) == 700 && memcmp(bytes, more, 700) == 0);
    CHECK(lseek(fd, 5, SEEK_SET) == 5 && fcntl(fd, F_SETFL, O_APPEND) == 0);
    CHECK(write(fd, bytes, 1) == -1 && errno == ENOSPC && lseek(fd, 0, SEEK_CUR) == 5 && fcntl(fd, F_SETFL, 0) == 0);
    CHECK(pread(fd, more, 1, size + 1000000) == 0 && pwrite(fd, more, 0, size) == 0);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
    nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pread(fd, nowhere, 512, 0) == -1 && errno == EFAULT && pwrite(fd, nowhere, 512, 0) == -1 && errno == EFAULT);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    printf("ok %ld in blocks of %d\n", (long)size, block);
}

/* A write whose memory ends in the middle: what is counted as written is there, what is not is as it was. */
static void half_a_buffer(uint8_t *model)
{
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t n;

    CHECK(pages != MAP_FAILED && munmap(pages + 4096, 4096) == 0);
    memset(pages, 0x77, 4096);
    n = pwrite(fd, pages + 100, 5000, 10100);
    CHECK(n > 0 && n <= 3996);
    memcpy(model + 10100, pages + 100, (size_t)n);
}

static void random_writes(long count)
{
    uint8_t *model = malloc((size_t)size), *now = malloc((size_t)size), *piece = malloc(LONGEST);

    CHECK(model && now && piece);
    read_all(model);
    for (long i = 0; i < count; i++) {
        size_t n = 1 + chance(chance(2) ? 2000 : LONGEST);
        off_t at = (off_t)chance((uint64_t)size - n);

        if (i % 5 == 0)
            at -= at % 512;
        if (i % 10 == 0)
            n = (n + 511) / 512 * 512 <= LONGEST ? (n + 511) / 512 * 512 : n;
        if (at + (off_t)n > size)
            n = (size_t)(size - at);
        for (size_t b = 0; b < n; b++)
            piece[b] = (uint8_t)(i * 31 + (long)(b * 7 + b / 509));
        memcpy(model + at, piece, n);
        CHECK(pwrite(fd, piece, n, at) == (ssize_t)n);
        memset(piece, 0, n);
        CHECK(pread(fd, piece, n, at) == (ssize_t)n && memcmp(model + at, piece, n) == 0);
    }
    half_a_buffer(model);
    CHECK(fsync(fd) == 0);
    read_all(now);
    CHECK(memcmp(model, now, (size_t)size) == 0);
    printf("ok %08x\n", crc(model, (size_t)size));
}

/* Record r in round `round`; the neighbours in its block are other processes'. */
static void fill(uint8_t *record, long r, long round)
{
    for (int i = 0; i < RECORD; i++)
        record[i] = (uint8_t)(r * 131 + round * 17 + i * (r % 5 + 1));
}

static void share_one(int who, long rounds)
{
    uint8_t record[RECORD], now[RECORD];
    long records = size / RECORD;

    for (long round = 0; round < rounds; round++)
        for (long r = who; r < records; r += PROCESSES) {
            fill(record, r, round);
            CHECK(pwrite(fd, record, RECORD, r * RECORD) == RECORD);
            CHECK(pread(fd, now, RECORD, r * RECORD) == RECORD && memcmp(record, now, RECORD) == 0);
        }
}

static void share(long rounds)
{
    long records = size / RECORD;
    uint8_t *all = malloc((size_t)size), record[RECORD];
    int status;

    CHECK(all);
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            share_one(i, rounds);
            exit(0);
        }
    for (int i = 0; i < PROCESSES; i++)
        CHECK(wait(&status) > 0 && status == 0);
    CHECK(fsync(fd) == 0);
    read_all(all);
    for (long r = 0; r < records; r++) {
        fill(record, r, rounds - 1);
        CHECK(memcmp(all + r * RECORD, record, RECORD) == 0);
    }
    printf("ok %08x\n", crc(all, (size_t)size));
}

#define FORK_BYTES 400000
static uint8_t *shared_buffer;
static volatile int stop;

static void *reader_and_writer(void *unused)
{
    (void)unused;
    for (int i = 0; !stop; i++) {
        memset(shared_buffer, i, FORK_BYTES);
        CHECK(pwrite(fd, shared_buffer, FORK_BYTES, 333) == FORK_BYTES);
        memset(shared_buffer, 0xee, FORK_BYTES);
        CHECK(pread(fd, shared_buffer, FORK_BYTES, 333) == FORK_BYTES);
        for (int b = 0; b < FORK_BYTES; b++)
            CHECK(shared_buffer[b] == (uint8_t)i);
    }
    return NULL;
}

/* The child's memory is what it was at the fork, however the I/O of its parent goes on; and it spoils its own. */
static void child(void)
{
    uint32_t before = crc(shared_buffer, FORK_BYTES);

    usleep(3000);
    CHECK(crc(shared_buffer, FORK_BYTES) == before);
    memset(shared_buffer, 0x99, FORK_BYTES);
    exit(0);
}

static void forks(long count)
{
    pthread_t t;
    int status;

    shared_buffer = malloc(FORK_BYTES);
    CHECK(shared_buffer && pthread_create(&t, NULL, reader_and_writer, NULL) == 0);
    for (long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child();
        usleep(1000);
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    stop = 1;
    pthread_join(t, NULL);
    printf("ok\n");
}

static void refused(void)
{
    uint8_t byte;
    int read_only = 0;

    CHECK(pread(fd, &byte, 1, 5) == 1);
    CHECK(pwrite(fd, &byte, 1, 5) == -1 && errno == EPERM);
    CHECK(ioctl(fd, BLKROGET, &read_only) == 0 && read_only == 1);
    printf("ok %d\n", byte);
}

static void bad_block(long at)
{
    uint8_t bytes[1024];

    CHECK(pread(fd, bytes, sizeof bytes, at) == -1 && errno == EIO);
    CHECK(pread(fd, bytes, sizeof bytes, at + 65536) == sizeof bytes);
    printf("ok\n");
}

int main(int argc, char **argv)
{
    long number = argc > 3 ? atol(argv[3]) : 0;

    if (argc < 3 || (fd = open(argv[2], O_RDWR)) < 0 || (size = lseek(fd, 0, SEEK_END)) < 0) {
        fprintf(stderr, "disk MODE DEVICE [NUMBER]: %s\n", strerror(errno));
        return 2;
    }
    if (!strcmp(argv[1], "sizes"))
        sizes();
    else if (!strcmp(argv[1], "random"))
        random_writes(number);
    else if (!strcmp(argv[1], "share"))
        share(number);
    else if (!strcmp(argv[1], "fork"))
        forks(number);
    else if (!strcmp(argv[1], "read-only"))
        refused();
    else if (!strcmp(argv[1], "error"))
        bad_block(number);
    else
        return 2;
    return 0;
}
