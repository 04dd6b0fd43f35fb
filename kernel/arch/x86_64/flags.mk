# Flags of this machine's kernel. The kernel uses no vector or floating-point register: they stay the user's.
TOOLPREFIX ?= x86_64-linux-gnu-
ARCH_CFLAGS := -m64 -march=x86-64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fcf-protection=none
ARCH_LDFLAGS := -melf_x86_64 -z noexecstack
QEMU_MACHINE := -M q35 -cpu max -net none
