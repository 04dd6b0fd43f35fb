/* The test of test_vm.c with its operations chosen by libFuzzer: `make fuzz`. */
#define main unused_main
#include "test_vm.c"
#undef main

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static bool booted;

    if (!booted)
        machine_start();
    booted = true;
    host_bytes = data;
    host_bytes_end = data + size;
    first_process();
    for (step = 0; host_bytes < host_bytes_end; step++) {
        one_step();
        vm_check_all("step");
    }
    all_exit();
    return 0;
}
