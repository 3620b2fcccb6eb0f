"""Mails are read by processes: a mail that costs too much, or that ends its process, affects no other mail and is never
lost.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped] # its stubs are a separate package, for a few calls
import pytest

from services.chassis.errors import ChaparError
from services.ingest.adapters.edges.mail_workers import MailWorkers, Unread, WorkerLimits, mail_workers
from services.ingest.domain.normalise.mail.mail import read_mail, unread_mail
from services.ingest.domain.normalise.message import IncomingMessage
from tests.hostile.mails import worst
from tests.hostile.pace import reference

MAIL = "From: Ali <a@b.example>\r\nMessage-ID: <1@b.example>\r\nSubject: سلام\r\n\r\nسلام دوستان عزیز\r\n".encode()
ENVELOPE = ("a@b.example", "support@demo.example")
_REFERENCE_S = 0.020
"""CPU of `reference()` on the machine for which the limits were chosen. Machines differ more in reading mails than in this work."""


async def test_a_worker_gives_the_same_result_as_the_function() -> None:
    """Nothing is lost between the processes: text, subject, labels, context."""
    async with mail_workers(WorkerLimits(cpu_s=5.0)) as workers:
        assert await workers.read("acme", MAIL, *ENVELOPE) == read_mail(MAIL, *ENVELOPE)


async def test_the_same_worker_is_kept_and_then_renewed() -> None:
    """A start costs as much as a hundred mails; a process that lives for ever accumulates what mails leave in it."""
    async with mail_workers(WorkerLimits(cpu_s=5.0, workers=1, mails=3)) as workers:
        (first,) = workers.pids
        seen = []
        for _ in range(4):
            await workers.read("acme", MAIL, *ENVELOPE)
            seen.append(workers.pids)
        assert seen[:2] == [(first,), (first,)]
        assert seen[2] == ()
        assert seen[3] != (first,)
        assert not psutil.pid_exists(first)


async def test_a_mail_that_costs_too_much_is_given_up_and_its_neighbours_are_read() -> None:
    """The kernel ends the process; the limit is not elapsed time."""
    large = b"From: a@b.example\r\nContent-Type: text/html\r\n\r\n" + b"<>" * 500_000
    async with mail_workers(WorkerLimits(cpu_s=0.003)) as workers:
        given_up = await workers.read("acme", large, *ENVELOPE)
        assert given_up == Unread("MAIL_CPU")
    async with mail_workers(WorkerLimits(cpu_s=5.0)) as workers:
        costly, *others = await asyncio.gather(
            workers.read("acme", large, *ENVELOPE), *(workers.read("acme", MAIL, *ENVELOPE) for _ in range(5))
        )
        assert all(isinstance(each, IncomingMessage) and each.text for each in others)
        assert isinstance(costly, IncomingMessage)


async def test_a_stopped_process_makes_no_mail_unreadable() -> None:
    """A machine without free CPU is not a mail that takes too much: the mail comes again later."""
    async with mail_workers(WorkerLimits(cpu_s=5.0, workers=1, stuck_s=3.0)) as workers:
        (pid,) = workers.pids
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ChaparError) as refused:
            await workers.read("acme", MAIL, *ENVELOPE)
        assert refused.value.reason == "MAIL_WORKER_STUCK"
        assert not psutil.pid_exists(pid)


async def test_a_slow_worker_is_waited_for() -> None:
    """The limit is on CPU time: a worker that is stopped for longer than that and then continues still answers."""
    async with mail_workers(WorkerLimits(cpu_s=0.5, workers=1)) as workers:
        (pid,) = workers.pids
        os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(workers.read("acme", MAIL, *ENVELOPE))
        done, _ = await asyncio.wait({reading}, timeout=1.0)
        assert not done
        os.kill(pid, signal.SIGCONT)
        assert isinstance(await reading, IncomingMessage)


async def test_a_worker_that_is_killed_costs_no_mail() -> None:
    """A worker that was killed for lack of memory was not at fault: the next worker reads its mail."""
    async with mail_workers(WorkerLimits(cpu_s=5.0, workers=1)) as workers:
        (pid,) = workers.pids
        os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(workers.read("acme", MAIL, *ENVELOPE))
        await asyncio.wait({reading}, timeout=0.1)
        os.kill(pid, signal.SIGKILL)
        assert isinstance(await reading, IncomingMessage)
        assert workers.pids != (pid,)


async def test_no_worker_is_left_when_the_service_ends() -> None:
    """Neither when the service ends in order, while a mail is being read, nor when it is killed."""
    async with mail_workers(WorkerLimits(cpu_s=5.0)) as workers:
        await asyncio.gather(*(workers.read("acme", MAIL, *ENVELOPE) for _ in range(4)))
        pids = workers.pids
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PARENT, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, 30)


_PARENT = """
import asyncio
from services.ingest.adapters.edges.mail_workers import WorkerLimits, mail_workers
async def main():
    async with mail_workers(WorkerLimits(cpu_s=5.0)) as workers:
        print(workers.pids[0], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_cancelled_read_ends_its_worker() -> None:
    """Its answer would be used for the next mail."""
    async with mail_workers(WorkerLimits(cpu_s=5.0, workers=1)) as workers:
        (pid,) = workers.pids
        os.kill(pid, signal.SIGSTOP)
        reading = asyncio.create_task(workers.read("acme", MAIL, *ENVELOPE))
        await asyncio.wait({reading}, timeout=0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not psutil.pid_exists(pid)
        assert isinstance(await workers.read("acme", MAIL, *ENVELOPE), IncomingMessage)


async def test_a_worker_that_can_not_start_makes_no_mail_unreadable() -> None:
    """The sending server keeps it."""
    workers = MailWorkers(WorkerLimits(cpu_s=5.0), module="services.ingest.no_such_module")
    with pytest.raises(ChaparError) as refused:
        await workers.read("acme", MAIL, *ENVELOPE)
    assert refused.value.reason == "MAIL_WORKER_NOT_STARTED"


async def test_a_worker_has_no_secrets_and_little_memory() -> None:
    """The process that reads hostile bytes has no secrets, and cannot use up the machine's memory."""
    os.environ["CHAPAR_TEST_SECRET"] = "x"
    try:
        async with mail_workers(WorkerLimits(cpu_s=5.0)) as workers:
            child = psutil.Process(workers.pids[0])
            assert "CHAPAR_TEST_SECRET" not in child.environ()
            assert child.rlimit(psutil.RLIMIT_AS)[0] <= 1 << 30
            assert child.rlimit(psutil.RLIMIT_FSIZE)[0] == 0
    finally:
        del os.environ["CHAPAR_TEST_SECRET"]


async def test_the_hostile_corpus_is_read_within_the_limit_of_every_service() -> None:
    """A megabyte of each kind, in real workers with the CPU time that a service gives, or more on a slower machine: all are read."""
    slower = max(1.0, 1.5 * reference() / _REFERENCE_S)
    async with mail_workers(WorkerLimits(cpu_s=0.5 * slower)) as workers:
        for name, raw in worst(1 << 20):
            assert isinstance(await workers.read("acme", raw, *ENVELOPE), IncomingMessage), name


def test_an_unread_mail_is_not_decoded_at_all() -> None:
    """Its sender is the envelope's, whatever the headers say; its bytes are kept; it gets no automatic answer."""
    message = unread_mail(MAIL, "Env@Z.example", "support@demo.example")
    assert (message.native_id, message.subject, message.text, message.display_name) == ("env@z.example", "", "", "")
    assert message.raw == MAIL
    assert message.no_auto_reply
    assert message.labels == {"unparsed": "true"}
