"""A broker's home: its ports, its running process, and the reading of its log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.cli.local.broker import process, state
from services.cli.local.broker.errors import BrokerError
from services.cli.local.broker.ports import FIRST, LAST, Ports, free_port, is_free, settle_ports
from services.cli.local.broker.probe import ask_metadata
from services.cli.local.broker.properties import render
from services.cli.local.broker.trouble import PortTakenError, explain


def listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def test_ports_are_chosen_once_and_kept(tmp_path: Path) -> None:
    """Clients find the broker again after a restart; two homes get different ports."""
    first = settle_ports(tmp_path)

    assert settle_ports(tmp_path) == first
    assert first.client != first.controller
    with listening(first.client):
        (tmp_path / "other").mkdir()
        assert first.client not in settle_ports(tmp_path / "other").model_dump().values()


def test_ports_stay_out_of_the_range_of_outgoing_connections(tmp_path: Path) -> None:
    """Otherwise a client that keeps trying while the broker is down could occupy the broker's port by connecting to itself."""
    assert FIRST <= settle_ports(tmp_path).client <= LAST
    system = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if system.exists():
        assert int(system.read_text().split()[0]) > LAST


@pytest.mark.parametrize("taken", ["client", "controller"])
def test_a_port_that_another_process_took_is_replaced(tmp_path: Path, taken: str) -> None:
    """This holds for either of the two ports; the new choice is kept too."""
    first = settle_ports(tmp_path)
    with listening(getattr(first, taken)):
        second = settle_ports(tmp_path)
        assert is_free(second.client)
        assert is_free(second.controller)
    assert settle_ports(tmp_path) == second


def test_a_wanted_port_is_used_or_refused_in_one_sentence(tmp_path: Path) -> None:
    """CHAPAR_KAFKA_PORT is never silently replaced."""
    wanted = free_port()
    assert settle_ports(tmp_path, wanted).client == wanted
    with (
        listening(wanted),
        pytest.raises(BrokerError, match=f"Port {wanted} on 127.0.0.1 is in use: .*CHAPAR_KAFKA_PORT"),
    ):
        settle_ports(tmp_path, wanted)


def test_a_partly_written_file_of_ports_is_replaced(tmp_path: Path) -> None:
    """New ports are chosen."""
    (tmp_path / "ports.json").write_text('{"client": 19')
    assert is_free(settle_ports(tmp_path).client)


def test_a_live_process_is_recognised_and_a_stale_pid_is_not(tmp_path: Path) -> None:
    """The pid alone is not enough: here it is alive, but its process was started at another time than the broker."""
    ports = Ports(client=1, controller=2)
    mine = state.Running(pid=os.getpid(), identity=process.identity(os.getpid()) or "", ports=ports, java="java")

    state.write(tmp_path, mine)
    assert state.read(tmp_path) == mine
    state.write(tmp_path, mine.model_copy(update={"identity": "another boot/12345"}))
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", '{"pid": "x"}', "null"])
def test_a_partly_written_state_means_that_no_broker_runs(tmp_path: Path, content: str) -> None:
    """A crash at any moment leaves no file that prevents the next start."""
    (tmp_path / "broker.json").write_text(content)
    assert state.read(tmp_path) is None


def test_a_dead_process_has_no_identity_even_before_it_is_reaped() -> None:
    """A zombie counts as not running."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    known_as = process.identity(child.pid)
    assert known_as is not None
    child.stdin.close()
    assert process.wait_gone(child.pid, known_as, 10)
    child.wait()


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    """The caller learns that it did not end properly."""
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert process.end(child.pid, process.identity(child.pid) or "", grace_s=0.1) is False
    assert child.wait() == -9
    child.stdin.close()
    child.stdout.close()


def test_the_configuration_listens_on_loopback_alone_and_creates_no_topic_by_itself() -> None:
    """Every listener and address is 127.0.0.1; the ports are the given ones; the data is in the given directory."""
    lines = render(Ports(client=20001, controller=20002), Path("data")).splitlines()

    values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert values["listeners"] == "CLIENTS://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert values["advertised.listeners"] == "CLIENTS://127.0.0.1:20001"
    assert values["log.dirs"] == "data"
    assert values["auto.create.topics.enable"] == "false"
    assert "$" not in "".join(values.values())


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("java.net.BindException: Address already in use", "start again"),
        ("java.io.IOException: No space left on device", r"disk of .* is full.*CHAPAR_HOME"),
        ("Failed to acquire lock on file .lock in /x", "Another broker uses the data"),
        ("java.nio.file.AccessDeniedException: /x", "may not write"),
        ("java.lang.OutOfMemoryError: Java heap space", "CHAPAR_KAFKA_HEAP"),
        ("something new\n\tat a.b.c(d.java)", r"\(something new\): see .*kafka\.log"),
        ("", "it wrote no log"),
    ],
)
def test_the_reason_of_a_failed_start_is_one_sentence(tmp_path: Path, log: str, sentence: str) -> None:
    """Known problems get advice; unknown ones get the last log line and the file."""
    (tmp_path / "kafka.log").write_text(log)
    error = explain(tmp_path / "kafka.log")

    with pytest.raises(BrokerError, match=sentence):
        raise error
    assert isinstance(error, PortTakenError) == ("already in use" in log)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x04\x00\x00\x00\x01", b"\x7f\xff\xff\xff"]
)
def test_another_server_on_the_port_is_not_mistaken_for_a_broker(answer: bytes) -> None:
    """Silence, another protocol, and a truncated or absurdly long answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask_metadata("127.0.0.1", server.getsockname()[1]) is None
        thread.join()
    assert ask_metadata("127.0.0.1", free_port()) is None
