# Cowslip. `make test` builds the portable code natively, with sanitizers, and runs its tests.
ARCH ?= riscv64
CC ?= cc
BUILD := build/host-$(ARCH)
WERROR := $(if $(CI),-Werror)
CFLAGS := -std=gnu17 -O1 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(WERROR) \
	-fsanitize=address,undefined -fno-sanitize-recover=all -DCOWSLIP_HOST -DCOWSLIP_DEBUG \
	-Ikernel -Ikernel/arch/$(ARCH)/include
SOURCES := $(shell find kernel -name '*.[ch]') # the tests include what they test
TESTS := $(patsubst test/host/%.c,$(BUILD)/%,$(wildcard test/host/test_*.c))

.PHONY: all test clean
all: $(TESTS)

$(BUILD)/%: test/host/%.c $(SOURCES) Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $< -o $@ -lcmocka

test: $(TESTS)
	@for t in $(TESTS); do $$t || exit 1; done

clean:
	rm -rf build
