"""`python tether.py PARENT HOME LOG command…`: becomes the command, in its own session, in HOME, with its output in LOG.

PARENT is a pid or 0. If it is a pid, the system kills the command when that process ends, however it ends. This file runs as a script, so that
it imports nothing of the project and costs 20 ms. Linux has PR_SET_PDEATHSIG for this (it survives exec; it watches the parent *thread*, so
the thread that starts the command must live on). On other systems a small watcher process checks the parent instead.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def watch(parent: int, child: int) -> None:
    """Watch beside the command, for systems without PR_SET_PDEATHSIG: kill it when the parent is gone, and return when the command is gone."""
    while os.getppid() == child:  # our own parent is the command
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os.kill(child, signal.SIGKILL)
            return
        time.sleep(0.5)


def tie_to(parent: int) -> None:
    """Have this process killed when `parent` ends. Raises OSError where the system refuses."""
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    else:
        child = os.getpid()
        if os.fork() == 0:
            watch(parent, child)
            os._exit(0)
    if os.getppid() != parent:
        sys.exit("the parent died before the command began")


def main(parent: int, home: str, log: str, command: list[str]) -> None:
    """Become the command, in a session of its own, tied to `parent`, with its output in `log`."""
    os.setsid()  # Ctrl-C in the terminal is for the parent, which stops its services before their broker
    os.chdir(home)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    if parent:
        tie_to(parent)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
