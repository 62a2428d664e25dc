#include "textflag.h"

// The entry of a program linked with -E pcap-replay/internal/tool.entry. It asks fcntl(2)
// for the flags of descriptors 0, 1 and 2, notes which of them are closed, blocks
// earlySignals by rt_sigprocmask(2), and goes on to the entry of the Go runtime, which needs
// the stack as it is.
//
// The entries of arm64 and arm were run with qemu-user, and that of 386 by the kernel. The
// numbers of system calls are those of the kernel's arch/*/syscall tables.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$0, BX
next:
	MOVQ	$72, AX	// fcntl
	MOVQ	BX, DI
	MOVQ	$1, SI	// F_GETFD
	SYSCALL
	CMPQ	AX, $-9	// EBADF
	JNE	open
	LEAQ	·closedAtStart(SB), CX
	MOVB	$1, (CX)(BX*1)
open:
	INCQ	BX
	CMPQ	BX, $3
	JLT	next
	MOVQ	$14, AX	// rt_sigprocmask
	MOVQ	$0, DI	// SIG_BLOCK
	LEAQ	·earlySignals(SB), SI
	MOVQ	$0, DX
	MOVQ	$8, R10	// bytes in a sigset_t
	SYSCALL
	JMP	_rt0_amd64_linux(SB)
