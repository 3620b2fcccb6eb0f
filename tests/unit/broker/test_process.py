"""A process is gone when its last thread is: until then its ports are taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.local.broker.process import identity, wait_gone

LEADER_ENDS_FIRST = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="other systems do not show threads this way")
def test_a_process_whose_first_thread_has_ended_still_runs() -> None:
    """A killed Java shows its first thread as a zombie while others still close its sockets."""
    with subprocess.Popen(
        [sys.executable, "-c", LEADER_ENDS_FIRST], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        known_as = identity(process.pid)
        assert process.stdout.readline() == "ready\n"
        state = Path(f"/proc/{process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "Z":
            pass  # the first thread has still to leave
        assert identity(process.pid) == known_as
        process.stdin.close()  # ends the other thread, and with it the process
        assert wait_gone(process.pid, known_as or "", 10, process.poll)
        assert identity(process.pid) is None
