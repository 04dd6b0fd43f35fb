/* Linux's wait options (linux/wait.h). */
#pragma once
#define WNOHANG 1
#define WUNTRACED 2
#define WEXITED 4
#define WCONTINUED 8
#define WNOWAIT 0x1000000u
#define __WCLONE 0x80000000u
#define __WALL 0x40000000u
#define P_ALL 0
#define P_PID 1
#define P_PGID 2
