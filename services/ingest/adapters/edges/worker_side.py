"""What a worker process does on its side of the pipes: messages with their length before them, and limits for itself."""

import math
import resource
import signal
from collections.abc import Callable
from typing import BinaryIO, Final

LENGTH_BYTES: Final = 4
MEMORY_BYTES: Final = 1 << 30


def allow_cpu(seconds: float) -> None:
    """End this process after this much more CPU time; 0: no limit. The second limit is for a kernel without the timer."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1 if seconds else hard
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def send(target: BinaryIO, content: bytes) -> None:
    """Write one message, with its length before it."""
    target.write(len(content).to_bytes(LENGTH_BYTES) + content)
    target.flush()


def serve(source: BinaryIO, target: BinaryIO, answer: Callable[[bytes], bytes]) -> None:
    """Answer requests until the input ends. The first message is empty: the process is ready."""
    send(target, b"")
    while header := source.read(LENGTH_BYTES):
        send(target, answer(source.read(int.from_bytes(header))))


def limited(memory_bytes: int = MEMORY_BYTES) -> None:
    """Set the limits of a worker process: memory, and no files."""
    for number in (signal.SIGPROF, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
