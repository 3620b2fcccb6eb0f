"""Calls every replica of the services without a token, and expects each to refuse the call: `helm test` runs this.

    python reach.py /etc/chapar/tls ingest=HOST:PORT router=HOST:PORT …

A refusal proves names, network policy, certificate and gRPC, and changes nothing. The directory has ca.crt and, where services want a
client's certificate, tls.crt and tls.key. Exit code 1 when a replica does not answer as it should; the output says which and why.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

METHOD = "/chapar.none.v1.None/Nothing"
WITHIN_S = 10.0
REFUSALS = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED}
)


def main(arguments: Sequence[str]) -> int:
    """Call the replicas of each `name=host:port`. Returns the exit code."""
    if len(arguments) < 2:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    credentials = credentials_in(Path(arguments[0]))
    failed = False
    for each in arguments[1:]:
        name, _, target = each.partition("=")
        for address, wrong in calls(target, credentials):
            print(f"{name} at {address}: {wrong or 'answers'}", flush=True)
            failed = failed or bool(wrong)
    return 1 if failed else 0


def credentials_in(directory: Path) -> grpc.ChannelCredentials:
    """Return the credentials of a client. Raises FileNotFoundError without ca.crt."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    own = (key.read_bytes(), certificate.read_bytes()) if certificate.exists() and key.exists() else (None, None)
    return grpc.ssl_channel_credentials((directory / "ca.crt").read_bytes(), *own)


def calls(target: str, credentials: grpc.ChannelCredentials) -> Iterator[tuple[str, str]]:
    """Yield each replica's address with what is wrong with its answer; empty when it refuses the call as it should."""
    host, _, port = target.rpartition(":")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        yield target, f"the name has no address: {error}"
        return
    for family, address in sorted({(family, str(where[0])) for family, *_, where in found}):
        full = f"[{address}]:{port}" if family == socket.AF_INET6 else f"{address}:{port}"
        yield full, call(full, host, credentials)


def call(address: str, name: str, credentials: grpc.ChannelCredentials) -> str:
    """Call one replica, whose certificate must have `name`. Returns what is wrong with the answer."""
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(address, credentials, options) as channel:
        try:
            channel.unary_unary(METHOD)(b"", timeout=WITHIN_S, wait_for_ready=False)
        except grpc.RpcError as error:
            return "" if error.code() in REFUSALS else f"{error.code().name}: {error.details()}"
    return "it accepts a call without a token"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
