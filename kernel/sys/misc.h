/* What the system calls itself: uname(2), /proc/version. */
#pragma once
#define SYSTEM_NAME "Linux" /* the ABI that programs ask about */
#define SYSTEM_RELEASE "6.12.0-cowslip"
#define SYSTEM_VERSION "#1 Cowslip"
extern char system_hostname[];
