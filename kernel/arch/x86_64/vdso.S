    /* The vDSO, made from user/vdso; kernel/proc/vdso.c copies it into a page. */
    .section .rodata
    .balign 8
    .globl vdso_image, vdso_image_end
vdso_image:
    .incbin "build/x86_64/vdso.so"
vdso_image_end:
