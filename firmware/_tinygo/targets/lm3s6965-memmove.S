// Debian's picolibc moves memory byte by byte, and copies it by the word. TinyGo
// asks for a move wherever Go says copy: let it be a copy where nothing overlaps
// what is still to be read.
.syntax unified
.cpu cortex-m3
.thumb

.section .text.memmove, "ax", %progbits
.global memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8
.type memmove, %function
.thumb_func
memmove:
	subs r3, r0, r1
	cmp r3, r2
	bhs memcpy
1:	subs r2, r2, #1
	blo 2f
	ldrb r3, [r1, r2]
	strb r3, [r0, r2]
	b 1b
2:	bx lr
.size memmove, . - memmove
.thumb_set __aeabi_memmove, memmove
.thumb_set __aeabi_memmove4, memmove
.thumb_set __aeabi_memmove8, memmove
