# Cowslip. `make` builds the kernel and the initramfs, `make qemu` runs them, `make test` tests everything.
# CPUS=n MEM=512M ARCH=riscv64 TOOLPREFIX=... DEBUG=1 V=1. `make check` is what one runs before a commit.
ARCH ?= riscv64
CPUS ?= 2
MEM ?= 512M
TYPE := $(if $(DEBUG),debug,release)
BUILD := build/$(ARCH)-$(TYPE)
HOST := build/host-$(ARCH)
Q := $(if $(V),,@)
WERROR ?= -Werror
include kernel/arch/$(ARCH)/flags.mk

KCC := $(TOOLPREFIX)gcc
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wno-sign-compare $(WERROR)
KCFLAGS := -std=gnu17 -O2 -g $(ARCH_CFLAGS) -ffreestanding -fno-pic -fno-pie -fno-strict-aliasing -fno-common \
	-fno-omit-frame-pointer -fno-stack-protector -fno-asynchronous-unwind-tables $(WARNINGS) \
	-Ikernel -Ikernel/arch/$(ARCH)/include $(if $(DEBUG),-DCOWSLIP_DEBUG)

SOURCES := $(shell find kernel -name '*.c' -not -path 'kernel/arch/*') $(wildcard kernel/arch/*.c) $(shell find kernel/arch/$(ARCH) -name '*.c' -o -path 'kernel/arch/$(ARCH)/*.S')
OBJECTS := $(SOURCES:%=$(BUILD)/%.o)
LINK = $(TOOLPREFIX)ld $(ARCH_LDFLAGS) -z max-page-size=4096 --no-warn-rwx-segments -T kernel/arch/$(ARCH)/kernel.ld -o $@ $(filter %.o,$^)

.PHONY: iso boot-programs bench-programs xv6-programs all kernel initramfs qemu qemu-gdb qemu-version test check host-tests guest-tests host-test guest-test boot-test \
	clean compile_commands.json
.DELETE_ON_ERROR:
all: kernel initramfs compile_commands.json
kernel: $(BUILD)/kernel.elf

COMPILER_SEEN := build/$(ARCH)/seen-$(subst /,_,$(TOOLPREFIX))gcc
# Too old is said in one line, once, before the compiler says it in hundreds.
$(COMPILER_SEEN):
	@mkdir -p $(@D)
	@v=$$($(KCC) -dumpversion 2>/dev/null) || { echo "$(KCC) is not here: ./cowslip setup installs it (or set TOOLPREFIX=)"; exit 1; }; \
	[ "$${v%%.*}" -ge 10 ] || { echo "$(KCC) $$v is too old: 10 or newer is needed"; exit 1; }
	@touch $@

$(BUILD)/%.c.o: %.c Makefile kernel/arch/$(ARCH)/flags.mk | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(KCC) $(KCFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.S.o: %.S Makefile kernel/arch/$(ARCH)/flags.mk | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  AS      $<"
	$(Q)$(KCC) $(KCFLAGS) -MMD -MP -c $< -o $@

# What libc calls instead of the kernel: one page, mapped into every program (kernel/proc/vdso.h).
VDSO := build/$(ARCH)/vdso.so
$(VDSO): user/vdso/vdso.c user/vdso/vdso.ld $(wildcard user/vdso/$(ARCH)/*) kernel/proc/vdso.h Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  VDSO    $@"
	$(Q)$(KCC) -std=gnu17 -O2 -fPIC -shared -nostdlib -fno-stack-protector $(filter-out -Wmissing-prototypes,$(WARNINGS)) -DVDSO_PROGRAM \
		-fasynchronous-unwind-tables -Ikernel -Iuser/vdso/$(ARCH) -Wl,--hash-style=both,-soname,linux-vdso.so.1,--no-undefined \
		-Wl,--version-script,user/vdso/$(ARCH)/vdso.map,-T,user/vdso/vdso.ld,--eh-frame-hdr,--build-id=none,-s $< -o $@
$(BUILD)/kernel/arch/$(ARCH)/vdso.S.o: $(VDSO)

# Linked twice: the table of symbols is made from the first link, and lies behind all code.
$(BUILD)/kernel.1: $(OBJECTS) kernel/arch/$(ARCH)/kernel.ld
	$(Q)$(LINK)

$(BUILD)/ksyms.S: $(BUILD)/kernel.1 tools/ksyms.py
	$(Q)$(TOOLPREFIX)nm -n $< | python3 tools/ksyms.py > $@.new && mv $@.new $@

$(BUILD)/ksyms.o: $(BUILD)/ksyms.S
	$(Q)$(KCC) $(ARCH_CFLAGS) -fno-pic -c $< -o $@

$(BUILD)/kernel.elf: $(OBJECTS) $(BUILD)/ksyms.o kernel/arch/$(ARCH)/kernel.ld
	@echo "  LD      $@"
	$(Q)$(LINK)

-include $(OBJECTS:.o=.d)

# ---- programs that run inside ----
build/$(ARCH)/user/%: user/%.c Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  UCC     $<"
	$(Q)$(KCC) -std=gnu17 -O2 -Wall -Wextra $(WERROR) -static -s $< -o $@

initramfs: build/$(ARCH)/initramfs.cpio
build/$(ARCH)/initramfs.cpio: build/$(ARCH)/user/init $(wildcard user/etc/*) $(wildcard tools/cowslip/*.py) tools/initramfs.py
	$(Q)python3 tools/initramfs.py build/$(ARCH)

compile_commands.json:
	$(Q)python3 tools/compile_commands.py $(BUILD) "$(KCC) $(KCFLAGS)" $(filter %.c,$(SOURCES)) > $@.new && mv $@.new $@

# ---- running ----
QEMU ?= qemu-system-$(ARCH)
QEMU_ARGS = -accel tcg,thread=single $(QEMU_MACHINE) -smp $(CPUS) -m $(MEM) -nographic -kernel $(BUILD)/kernel.elf -initrd build/$(ARCH)/initramfs.cpio
qemu-version:
	@v=$$($(QEMU) --version 2>/dev/null | sed -n 's/.* version \([0-9.]*\).*/\1/p'); \
	[ -n "$$v" ] || { echo "$(QEMU) is not here: ./cowslip setup installs it (or set QEMU=)"; exit 1; }; \
	[ "$${v%%.*}" -ge 7 ] || { echo "QEMU $$v is too old: 7.0 or newer is needed"; exit 1; }
qemu: all qemu-version
	$(QEMU) $(QEMU_ARGS)
qemu-gdb: all qemu-version
	@echo "in another terminal: gdb-multiarch $(BUILD)/kernel.elf -ex 'target remote :1234'"
	$(QEMU) $(QEMU_ARGS) -s -S

# A CD for x86-64's BIOS, started by GRUB: needs grub-pc-bin, grub-common, xorriso, mtools.
iso: build/$(ARCH)/cowslip.iso
build/x86_64/cowslip.iso: $(BUILD)/kernel.elf build/x86_64/initramfs.cpio kernel/arch/x86_64/grub.cfg
	@rm -rf build/x86_64/iso && mkdir -p build/x86_64/iso/boot/grub
	$(Q)cp $(BUILD)/kernel.elf build/x86_64/initramfs.cpio build/x86_64/iso/boot/
	$(Q)cp kernel/arch/x86_64/grub.cfg build/x86_64/iso/boot/grub/
	@echo "  ISO     $@"
	$(Q)grub-mkrescue -d /usr/lib/grub/i386-pc -o $@ build/x86_64/iso 2>$@.log || { cat $@.log; exit 1; }

# ---- tests ----
HOST_WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-sign-compare $(WERROR)
HOST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS := -std=gnu17 -O1 -g $(HOST_WARNINGS) $(HOST_SANITIZE) -DCOWSLIP_HOST -DCOWSLIP_DEBUG \
	-Ikernel -Ikernel/arch/$(ARCH)/include
HOST_TESTS := $(filter-out $(HOST)/test_vm%,$(patsubst test/host/%.c,$(HOST)/%,$(wildcard test/host/test_*.c)))
$(HOST_TESTS): $(HOST)/%: test/host/%.c $(shell find kernel -name '*.[ch]') Makefile
	@mkdir -p $(@D)
	@echo "  HOSTCC  $<"
	$(Q)$(CC) $(HOST_CFLAGS) $< -o $@ -lcmocka

# The head of a list is no thread: what container_of makes of it is not followed, and need not be aligned.
$(HOST)/test_sched: HOST_CFLAGS += -fno-sanitize=alignment

# kernel/vm built natively, for each machine's entries, in its own geometry and in a small one.
VM_SOURCES := $(filter-out kernel/vm/uaccess.c,$(wildcard kernel/vm/*.c)) test/host/machine.c
VM_VARIANTS := riscv64 x86_64 riscv64-small x86_64-small
VM_SMALL_riscv64 := 3
VM_SMALL_x86_64 := 2
VM_CFLAGS := -std=gnu17 -O2 -g $(HOST_WARNINGS) -DCOWSLIP_HOST -DCOWSLIP_DEBUG -fno-builtin-printf -Ikernel -Itest/host
VM_LIBS := -lcmocka -lpthread -Wl,--wrap=page_free,--wrap=page_free_table,--wrap=page_put
# 1: variant, 2: machine, 3: more flags, 4: program
define vm_variant
build/host-vm/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@echo "  HOSTCC  $$< ($(1))"
	$$(Q)$$(CC) $$(VM_CFLAGS) $(3) -DHOST_ARCH='"$(1)"' -Ikernel/arch/$(2)/include -MMD -MP -c $$< -o $$@
build/host-vm/$(1)/$(4): $(VM_SOURCES:%.c=build/host-vm/$(1)/%.o) build/host-vm/$(1)/test/host/$(4).o
	$$(Q)$$(CC) $(3) $$^ -o $$@ $(VM_LIBS)
HOST_VM_TESTS += build/host-vm/$(1)/$(4)
-include $(shell find build/host-vm/$(1) -name '*.d' 2>/dev/null)
endef
machine_of = $(patsubst %-small,%,$(1))
$(foreach v,$(VM_VARIANTS),$(eval $(call vm_variant,$(v),$(call machine_of,$(v)),$(HOST_SANITIZE) \
	$(if $(filter %-small,$(v)),-DPT_BITS=$(VM_SMALL_$(call machine_of,$(v)))),test_vm)))

# The same sources for all machines, and for some things of a machine's own.
GUEST_TESTS := $(patsubst %.c,build/$(ARCH)/guest/%,$(notdir $(wildcard test/guest/*.c test/guest/$(ARCH)/*.c)))
vpath %.c test/guest test/guest/$(ARCH)
$(GUEST_TESTS): build/$(ARCH)/guest/%: %.c $(wildcard test/guest/*.h) Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  UCC     $<"
	$(Q)$(KCC) -std=gnu17 -O1 -g -Wall -Wextra $(WERROR) -static -pthread $< -o $@

# Programs that the boot tests run in the guest: NAME.c, and the parts in NAME/ if there is that folder.
BOOT_PROGRAMS := $(patsubst test/boot/programs/%.c,build/$(ARCH)/boot/%,$(wildcard test/boot/programs/*.c))
build/$(ARCH)/boot/%: test/boot/programs/%.c $(wildcard test/boot/programs/*.h test/boot/programs/*/*.[ch]) Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  UCC     $<"
	$(Q)$(KCC) -std=gnu17 -O1 -g -Wall -Wextra $(WERROR) $(BOOT_LINK) -pthread $< $(wildcard test/boot/programs/$*/*.c) -o $@ -lm
BOOT_LINK = -static
build/$(ARCH)/boot/spot: BOOT_LINK = -fPIE -static-pie -nostdlib -Wl,--no-dynamic-linker -ffreestanding -fno-stack-protector

# What measures, in the guest and elsewhere: plain C, static.
BENCH_PROGRAMS := $(patsubst bench/%.c,build/$(ARCH)/bench/%,$(wildcard bench/*.c))
build/$(ARCH)/bench/%: bench/%.c bench/bench.h Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  UCC     $<"
	$(Q)$(KCC) -std=gnu17 -O2 -g -Wall -Wextra $(WERROR) -static -pthread $< -o $@

# Programs for xv6's interface; each is named _NAME, as xv6's own build names them. No libc, no crt.
XV6_CFLAGS := -std=gnu17 -O1 -g -Wall -Wextra $(WERROR) -ffreestanding -fno-builtin -fno-pic -fno-stack-protector -mcmodel=medany -mno-relax
XV6_LINK := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096
XV6_PROGRAMS := $(patsubst user/xv6/%.c,build/$(ARCH)/xv6/_%,$(filter-out user/xv6/lib.c,$(wildcard user/xv6/*.c)))
build/$(ARCH)/xv6/_%: user/xv6/%.c user/xv6/lib.c user/xv6/xv6.h user/xv6/user.ld Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  XV6CC   $<"
	$(Q)$(KCC) $(XV6_CFLAGS) $(XV6_LINK) -Wl,-T,user/xv6/user.ld $< user/xv6/lib.c -o $@
build/$(ARCH)/xv6/_echo: XV6_LINK += -Wl,-N,-e,main,-Ttext,0,--no-warn-rwx-segments
build/$(ARCH)/xv6/_echo: user/xv6/echo.c user/xv6/lib.c user/xv6/xv6.h Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  XV6CC   $<"
	$(Q)$(KCC) $(XV6_CFLAGS) $(XV6_LINK) $< user/xv6/lib.c -o $@

xv6-programs: $(XV6_PROGRAMS)
bench-programs: $(BENCH_PROGRAMS)
boot-programs: $(BOOT_PROGRAMS)
build/$(ARCH)/suites/runner: test/suites/runner.c Makefile | $(COMPILER_SEEN)
	@mkdir -p $(@D)
	@echo "  UCC     $<"
	$(Q)$(KCC) -std=gnu17 -O2 -Wall -Wextra $(WERROR) -static -s $< -o $@
$(foreach v,riscv64 x86_64,$(eval $(call vm_variant,$(v),$(v),$(HOST_SANITIZE),test_vm_calls)))
$(foreach v,riscv64 x86_64,$(eval $(call vm_variant,$(v),$(v),$(HOST_SANITIZE),test_vm_catalogue)))

# `make vm-coverage`: which lines and branches of kernel/vm the model's test reaches (needs gcovr).
$(eval $(call vm_variant,riscv64-coverage,riscv64,--coverage -O0 -DPT_BITS=3,test_vm))
$(eval $(call vm_variant,riscv64-coverage-full,riscv64,--coverage -O0,test_vm_calls))
.PHONY: vm-coverage fuzz
vm-coverage: build/host-vm/riscv64-coverage/test_vm build/host-vm/riscv64-coverage-full/test_vm_calls
	find build/host-vm/riscv64-coverage* -name '*.gcda' -delete
	for o in "--seed 1" "--seed 2" "--seed 3 --overcommit 2" "--seed 4 --fork eager"; do $< --steps 300000 $$o | grep operations || exit 1; done
	build/host-vm/riscv64-coverage-full/test_vm_calls | tail -1
	gcovr -r . build/host-vm/riscv64-coverage build/host-vm/riscv64-coverage-full -f 'kernel/vm/' --branches -s | tail -3
	gcovr -r . build/host-vm/riscv64-coverage build/host-vm/riscv64-coverage-full -f 'kernel/vm/'

# `make fuzz`: libFuzzer chooses the operations instead of a generator of random numbers (needs clang; ends with Ctrl-C, or FUZZ=-runs=N).
build/host-vm/fuzz_vm: test/host/fuzz_vm.c test/host/test_vm.c $(VM_SOURCES) $(wildcard kernel/vm/*.h) Makefile
	@mkdir -p $(@D)
	@echo "  CLANG   $<"
	$(Q)clang -std=gnu17 -O1 -g -w -fsanitize=fuzzer,address,undefined -fno-sanitize=pointer-overflow -fno-sanitize-recover=all \
	    -DCOWSLIP_HOST -DCOWSLIP_DEBUG -DPT_BITS=3 -DHOST_ARCH='"riscv64-small"' -Ikernel -Itest/host -Ikernel/arch/riscv64/include \
	    $(VM_SOURCES) test/host/fuzz_vm.c -o $@ $(VM_LIBS)
fuzz: build/host-vm/fuzz_vm
	@mkdir -p build/corpus
	$< -max_len=20000 -len_control=0 $(FUZZ) build/corpus

# The same without sanitizers, for the museum of planted faults: tools/cowslip/museum.py compiles what a fault changes.
VM_FAST_TESTS := build/host-vm/riscv64-small-fast/test_vm build/host-vm/x86_64-small-fast/test_vm \
	$(foreach v,riscv64-fast x86_64-fast,build/host-vm/$(v)/test_vm build/host-vm/$(v)/test_vm_calls build/host-vm/$(v)/test_vm_catalogue)
$(eval $(call vm_variant,riscv64-small-fast,riscv64,-O1 -DPT_BITS=$(VM_SMALL_riscv64),test_vm))
$(eval $(call vm_variant,x86_64-small-fast,x86_64,-O1 -DPT_BITS=$(VM_SMALL_x86_64),test_vm))
$(foreach v,riscv64 x86_64,$(foreach t,test_vm test_vm_calls test_vm_catalogue,$(eval $(call vm_variant,$(v)-fast,$(v),-O1,$(t)))))
.PHONY: museum museum-programs vm-flags proof
museum-programs: $(VM_FAST_TESTS) $(foreach v,riscv64 x86_64,build/host-vm/$(v)-threads/test_vm_threads)
vm-flags:
	@echo '$(VM_CFLAGS)'
museum:
	./cowslip museum
proof:
	./cowslip proof --mutants

# The same with real threads, under ThreadSanitizer.
$(foreach v,riscv64 x86_64,$(eval $(call vm_variant,$(v)-threads,$(v),-fsanitize=thread -DPT_BITS=$(VM_SMALL_$(v)),test_vm_threads)))

host-tests: $(HOST_TESTS) $(HOST_VM_TESTS)
guest-tests: $(GUEST_TESTS)
test:
	./cowslip test --arch $(ARCH)
check:
	./cowslip test --arch $(ARCH) --quick
host-test guest-test boot-test:
	./cowslip test --arch $(ARCH) $(@:-test=/)

.PHONY: lines
lines:
	@python3 tools/lines.py

clean:
	rm -rf build compile_commands.json
