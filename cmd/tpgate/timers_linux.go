package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// timerSlack is by how much Linux may delay this process' timers. No deadline of the service is finer than a millisecond.
const timerSlack = 500 * time.Microsecond

// relaxed marks, in the environment, a program that was started again by relaxTimers.
const relaxed = "_TPGATE_TIMERS_RELAXED"

// relaxTimers gives the process its timer slack. On a busy machine, Go's monitor thread otherwise wakes every 70 µs and takes the processor from a check, or from Redis beside it, which
// is a tenth of what a check costs (make bench). A thread has its slack from the one that made it, and Go makes that thread before main: so the program sets its own and executes itself again,
// once, in the same process. Where that is not possible, everything goes on without.
// Source: prctl(2), PR_SET_TIMERSLACK.
func relaxTimers() {
	if os.Getenv(relaxed) != "" {
		_ = os.Unsetenv(relaxed)
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	runtime.LockOSThread() // execve keeps the slack of the thread that calls it
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, uintptr(timerSlack), 0); errno != 0 {
		return
	}
	_ = syscall.Exec(self, os.Args, append(os.Environ(), relaxed+"=1")) // returns only if it failed
}
