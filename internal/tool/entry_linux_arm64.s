#include "textflag.h"

// See entry_linux_amd64.s.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$0, R19
next:
	MOVD	$25, R8	// fcntl
	MOVD	R19, R0
	MOVD	$1, R1	// F_GETFD
	SVC
	CMN	$9, R0	// EBADF
	BNE	open
	MOVD	$·closedAtStart(SB), R20
	ADD	R19, R20
	MOVD	$1, R21
	MOVB	R21, (R20)
open:
	ADD	$1, R19
	CMP	$3, R19
	BLT	next
	MOVD	$135, R8	// rt_sigprocmask
	MOVD	$0, R0	// SIG_BLOCK
	MOVD	$·earlySignals(SB), R1
	MOVD	$0, R2
	MOVD	$8, R3	// bytes in a sigset_t
	SVC
	JMP	_rt0_arm64_linux(SB)
