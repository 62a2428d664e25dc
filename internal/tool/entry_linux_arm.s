#include "textflag.h"

// See entry_linux_amd64.s.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVW	$0, R4
next:
	MOVW	$55, R7	// fcntl
	MOVW	R4, R0
	MOVW	$1, R1	// F_GETFD
	SWI	$0
	CMN	$9, R0	// EBADF
	BNE	open
	MOVW	$·closedAtStart(SB), R5
	ADD	R4, R5
	MOVW	$1, R6
	MOVB	R6, (R5)
open:
	ADD	$1, R4
	CMP	$3, R4
	BLT	next
	MOVW	$175, R7	// rt_sigprocmask
	MOVW	$0, R0	// SIG_BLOCK
	MOVW	$·earlySignals(SB), R1
	MOVW	$0, R2
	MOVW	$8, R3	// bytes in a sigset_t
	SWI	$0
	B	_rt0_arm_linux(SB)
