/* ls [FOLDER]: name, type, number, size. */
#include "xv6.h"

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int fd = open(folder, O_RDONLY);
    struct dirent d;

    if (fd < 0 || chdir(folder)) {
        printf("ls: %s: no such folder\n", folder);
        return 1;
    }
    while (read(fd, &d, sizeof d) == sizeof d) {
        char name[DIRSIZ + 1] = {0};
        struct stat st;
        int file;

        memcpy(name, d.name, DIRSIZ);
        file = open(name, O_RDONLY);
        if (file < 0 || fstat(file, &st))
            printf("ls: %s\n", name);
        else
            printf("%s %d %d %d\n", name, st.type, (int)st.ino, (int)st.size);
        close(file);
    }
    return 0;
}
