/* A shell for a folder of programs: words, cd, and exit with the input. Commands are files of the working folder. */
#include "xv6.h"

#define WORDS 16

static int read_line(char *buf, int size)
{
    int n = 0;

    while (n + 1 < size && read(0, buf + n, 1) == 1)
        if (buf[n++] == '\n')
            break;
    buf[n] = 0;
    return n;
}

static int cut(char *line, char **words)
{
    int n = 0;

    while (*line && n < WORDS) {
        while (*line == ' ' || *line == '\n')
            *line++ = 0;
        if (*line)
            words[n++] = line;
        while (*line && *line != ' ' && *line != '\n')
            line++;
    }
    words[n] = 0;
    return n;
}

int main(void)
{
    static char line[256], *words[WORDS + 1];

    for (;;) {
        write(2, "$ ", 2);
        if (read_line(line, sizeof line) == 0)
            return 0;
        if (cut(line, words) == 0)
            continue;
        if (strcmp(words[0], "cd") == 0) {
            if (!words[1] || chdir(words[1]))
                printf("cd: no such folder\n");
        } else if (fork() == 0) {
            exec(words[0], words);
            printf("%s: not found\n", words[0]);
            exit(1);
        } else {
            wait(0);
        }
    }
}
