"""An API server with its etcd on free ports of loopback, in a directory of its own, for the time of a `with` block."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.cli.local.broker import tether
from services.cli.local.broker.ports import free_port

READY_WITHIN_S: Final = 120
STOP_WITHIN_S: Final = 20


class ClusterError(Exception):
    """The API server or etcd did not start; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running API server."""

    url: str
    token: str
    """Bearer token of an administrator."""
    authority: Path
    """PEM file with the certificate of the API server, which signs itself."""
    kubeconfig: Path

    def client(self) -> httpx.Client:
        """Return a client with the administrator's token."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(
            base_url=self.url, verify=trusted, headers={"Authorization": f"Bearer {self.token}"}, timeout=60
        )


@contextlib.contextmanager
def running(tools: Mapping[str, Path], directory: Path) -> Iterator[Cluster]:
    """Start both programs in an empty `directory` and stop them at the end, whatever happened. Raises ClusterError."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        store = f"http://127.0.0.1:{free_port()}"
        peers = f"http://127.0.0.1:{free_port()}"
        stack.enter_context(
            _process(
                directory / "etcd.log",
                *(str(tools["etcd"]), f"--data-dir={directory / 'etcd'}", "--unsafe-no-fsync"),
                *(f"--listen-client-urls={store}", f"--advertise-client-urls={store}"),
                *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"),
                f"--initial-cluster=default={peers}",
            )
        )
        token = secrets.token_hex(16)
        (directory / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signing = directory / "service-accounts.pem"
        signing.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        port = free_port()
        certificates = directory / "certificates"
        process = stack.enter_context(
            _process(
                directory / "kube-apiserver.log",
                *(str(tools["kube-apiserver"]), f"--etcd-servers={store}", f"--cert-dir={certificates}"),
                *("--bind-address=127.0.0.1", f"--secure-port={port}", "--advertise-address=127.0.0.1"),
                # No other API server exists, and loopback addresses cannot be published as an endpoint.
                "--endpoint-reconciler-type=none",
                *(f"--token-auth-file={directory / 'tokens.csv'}", "--authorization-mode=RBAC"),
                *(f"--service-account-key-file={signing}", f"--service-account-signing-key-file={signing}"),
                *("--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16"),
            )
        )
        url = f"https://127.0.0.1:{port}"
        kubeconfig = directory / "kubeconfig"
        cluster = Cluster(url, token, certificates / "apiserver.crt", kubeconfig)
        _wait_ready(cluster, process, directory / "kube-apiserver.log")
        kubeconfig.write_text(_kubeconfig(cluster))
        kubeconfig.chmod(0o600)
        yield cluster


@contextlib.contextmanager
def _process(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose output goes to `log`. The kernel ends it with this process; leaving the block ends it as well."""
    tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(log.parent), str(log))
    process = subprocess.Popen([*tied, *command])
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(cluster: Cluster, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        # The server writes its certificate at its start; until then there is nothing to trust.
        with contextlib.suppress(httpx.TransportError, OSError), cluster.client() as client:
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise ClusterError(f"the API server did not become ready; the end of {log}:\n{log.read_text()[-3000:]}")


def _kubeconfig(cluster: Cluster) -> str:
    return f"""\
apiVersion: v1
kind: Config
current-context: check
contexts: [{{name: check, context: {{cluster: check, user: admin}}}}]
clusters: [{{name: check, cluster: {{server: '{cluster.url}', certificate-authority: '{cluster.authority}'}}}}]
users: [{{name: admin, user: {{token: '{cluster.token}'}}}}]
"""
