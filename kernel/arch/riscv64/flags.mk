# Flags of this machine's kernel.
TOOLPREFIX ?= riscv64-linux-gnu-
ARCH_CFLAGS := -march=rv64imac_zicsr_zifencei -mabi=lp64 -mcmodel=medany -mno-relax
ARCH_LDFLAGS := -melf64lriscv --no-relax
QEMU_MACHINE := -M virt
