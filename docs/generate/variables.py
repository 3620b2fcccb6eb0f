"""Environment variables that belong to no settings class: of the command line, of secrets, and of development tools.

A test searches the source for variables that are missing here.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `name` may hold `<PLACEHOLDERS>`; an empty `default` means that there is none."""

    name: str
    readers: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable(
        "CHAPAR_ADDRESS",
        "`chapar`",
        "the services of `chapar run` on this machine",
        "gRPC address of all services, `host:port` or a gRPC target.",
    ),
    Variable(
        "CHAPAR_ADDRESS_<SERVICE>",
        "`chapar`",
        "`CHAPAR_ADDRESS`",
        "The address of one service: INGEST, ROUTER, SLA or FEEDBACK.",
    ),
    Variable(
        "CHAPAR_TENANT",
        "`chapar`",
        "the tenant of `chapar run`",
        "Tenant of the commands. It is required with an address.",
    ),
    Variable(
        "CHAPAR_CONFIG_KEEP",
        "`chapar config apply` and `rollback`",
        "100",
        "Versions of each tenant's configuration that the history keeps.",
    ),
    Variable("CHAPAR_TOKEN", "`chapar`", "a development token", "Token of the calls. It is required with an address."),
    Variable(
        "CHAPAR_TLS_CA_FILE",
        "`chapar`",
        "no TLS, which only loopback accepts",
        "PEM file with the trusted certificate authorities.",
    ),
    Variable(
        "CHAPAR_TLS_CERT_FILE",
        "`chapar`",
        "",
        "PEM file with the client's certificate, for services that require one (mTLS).",
    ),
    Variable("CHAPAR_TLS_KEY_FILE", "`chapar`", "", "PEM file with the private key of CHAPAR_TLS_CERT_FILE."),
    Variable(
        "CHAPAR_ACTOR",
        "`chapar`",
        "the user of the operating system",
        "Actor of a change, for the audit log; the option `--actor`.",
    ),
    Variable(
        "CHAPAR_OUTGOING_ALLOW",
        "`chapar config`",
        "",
        "Destinations that URLs may name although they are not public; the option `--allow`. It is the same list as OUTGOING_ALLOW of the services.",
    ),
    Variable(
        "CHAPAR_SECRET_<TENANT>__<NAME>",
        "ingest, sla, feedback",
        "",
        "A secret of a tenant, which a configuration refers to as `env:CHAPAR_SECRET_<TENANT>__<NAME>`.",
    ),
    Variable(
        "DATABASE_URL",
        "ingest",
        "a SQLite file",
        "Database of the history (`postgresql://user@host/name` or `sqlite:///path`), when CHAPAR_INGEST_DATABASE_URL is empty.",
    ),
    Variable(
        "CHAPAR_ENDPOINTS_FILE",
        "services",
        "",
        "File to which a service writes the addresses that it listens on. `chapar run` sets it.",
    ),
    Variable(
        "CHAPAR_COMPILE",
        "`make run`",
        "true",
        "If false, the router runs as Python; otherwise it is compiled before, once for its sources, where there is a C compiler.",
    ),
    Variable("JAVA_HOME", "`make run`, `make kafka`", "Java on the PATH", "Java 17 or later for the embedded broker."),
)
