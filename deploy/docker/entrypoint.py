"""The command of the image: `ingest`, `router`, `sla` or `feedback` runs that service; other arguments run `chapar`.

Settings that differ between a container and a laptop get these defaults: listen on all addresses, on known ports. CHAPAR_ENV_FILE names a file of
NAME=value lines, which count as environment variables when they are not set otherwise: for secrets that are created at run time.
"""

import os
import sys
from pathlib import Path

PORTS = {"GRPC_PORT": "9000", "OPS_PORT": "9090", "HEALTH_PORT": "9091", "HTTP_PORT": "8080", "SMTP_PORT": "2525"}
HOSTS = ("GRPC_HOST", "OPS_HOST", "HTTP_HOST", "SMTP_HOST")
HAS = {
    "ingest": {"GRPC", "HEALTH", "OPS", "HTTP", "SMTP"},
    "router": {"GRPC", "HEALTH", "OPS"},
    "sla": {"GRPC", "HEALTH", "OPS"},
    "feedback": {"GRPC", "HEALTH", "OPS", "HTTP"},
}


def main(arguments: list[str]) -> None:
    if file := os.environ.pop("CHAPAR_ENV_FILE", ""):
        for line in Path(file).read_text().splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.startswith("#"):
                os.environ.setdefault(name, value)
    service = arguments[0] if arguments else ""
    if service not in HAS:
        os.execvp("chapar", ["chapar", *arguments])  # noqa: S606, S607 the image's own command
    prefix = f"CHAPAR_{service.upper()}_"
    insecure = os.environ.get(f"{prefix}INSECURE_DEV", "").lower() == "true"
    for name, port in PORTS.items():
        if name.split("_")[0] in HAS[service]:
            os.environ.setdefault(prefix + name, port)
    for name in HOSTS:
        # Without TLS, gRPC listens on loopback only; the other servers listen on all addresses.
        if name.split("_")[0] in HAS[service] and not (insecure and name == "GRPC_HOST"):
            os.environ.setdefault(prefix + name, "0.0.0.0")  # noqa: S104 inside a container
    os.execvp(sys.executable, [sys.executable, "-m", f"services.{service}", *arguments[1:]])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
