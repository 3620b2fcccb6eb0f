"""Calls to the services: their addresses, the caller's token, and errors as one sentence.

On the machine of `chapar run` all of this comes from the home of this copy. Elsewhere these variables set it, and there are no defaults:

    CHAPAR_ADDRESS_INGEST, _ROUTER, _SLA, _FEEDBACK    host:port or a gRPC target of each service; CHAPAR_ADDRESS applies to all others
    CHAPAR_TENANT, CHAPAR_TOKEN                        the tenant, and a token of this tenant
    CHAPAR_TLS_CA_FILE                                 the trusted authority; without it there is no TLS, which is allowed on loopback only
    CHAPAR_TLS_CERT_FILE, CHAPAR_TLS_KEY_FILE          the client certificate, where services require one
    KAFKA_…, CHAPAR_TOPIC_PREFIX                       the cluster, as for the services
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import ClientTls, chapar_errors, grpc_channel
from services.chassis.kafka_settings import KafkaSettings
from services.chassis.tokens import Role
from services.cli.local.broker.errors import BrokerError
from services.cli.local.development import scopes_for, tokens
from services.cli.local.workspace import SERVICES, Workspace
from services.cli.output import errors
from services.cli.reasons import Reason

T = TypeVar("T")


def tokens_for(workspace: Workspace, tenant: str, *, agent_id: str = "") -> Callable[[], str]:
    """Return a source of tokens: CHAPAR_TOKEN, or tokens signed with this copy's development key and renewed in time.

    Raises FAILED_PRECONDITION NO_TOKEN where this copy did not start the services: they would not accept a token that this copy signs.
    """
    given = os.environ.get("CHAPAR_TOKEN")
    if given:
        return lambda: given
    if workspace.running() is None or address_given():
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NO_TOKEN,
            "set CHAPAR_TOKEN to a token of the tenant, from the issuer that the services trust; "
            "this command makes tokens only for services that `chapar run` started here",
        )
    scopes = scopes_for(Role.AGENT if agent_id else None)
    source = tokens(workspace, agent_id or "operator", scopes, agent_id=agent_id)
    return lambda: source(tenant)


def token_for(workspace: Workspace, tenant: str, *, agent_id: str = "") -> str:
    """Return one such token, for callers that cannot renew it."""
    return tokens_for(workspace, tenant, agent_id=agent_id)()


def address_of(workspace: Workspace, service: str, server: str = "grpc") -> str:
    """Return the address of a service's server; for gRPC, of all replicas. Raises FAILED_PRECONDITION when nothing runs here."""
    if server == "grpc" and (
        given := os.environ.get(f"CHAPAR_ADDRESS_{service.upper()}") or os.environ.get("CHAPAR_ADDRESS")
    ):
        return given
    endpoints = workspace.require_running().endpoints
    found = [servers[server] for name, servers in endpoints.items() if name.split("-")[0] == service]
    if not found:
        raise ChaparError(ErrorKind.NOT_FOUND, Reason.NOT_RUNNING, f"{service} has no {server} server here")
    return found[0] if len(found) == 1 or server != "grpc" else "ipv4:" + ",".join(found)


def address_given() -> bool:
    """Return whether the environment names another address for any service."""
    return any(os.environ.get(name) for name in ("CHAPAR_ADDRESS", *(f"CHAPAR_ADDRESS_{s.upper()}" for s in SERVICES)))


def tenant_of(workspace: Workspace) -> str:
    """Return the tenant that commands apply to: CHAPAR_TENANT, or the one that runs here. Raises FAILED_PRECONDITION if there is neither."""
    if given := os.environ.get("CHAPAR_TENANT"):
        return given
    if address_given():
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NO_TENANT,
            "set CHAPAR_TENANT to the tenant that the command applies to",
        )
    return workspace.require_running().tenant


def tls_of(address: str) -> ClientTls | None:
    """Return how to connect to an address: TLS by CHAPAR_TLS_CA_FILE, or None for plain text on loopback.

    Raises FAILED_PRECONDITION NO_TLS for another address without an authority.
    """
    authority = os.environ.get("CHAPAR_TLS_CA_FILE")
    if not authority:
        if all(_is_loopback(each) for each in address.rpartition("///")[2].removeprefix("ipv4:").split(",")):
            return None
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION,
            Reason.NO_TLS,
            f"set CHAPAR_TLS_CA_FILE to the authority of the services' certificates: without it the token would go to {address} in plain text",
        )
    certificate, key = os.environ.get("CHAPAR_TLS_CERT_FILE"), os.environ.get("CHAPAR_TLS_KEY_FILE")
    return ClientTls(Path(authority), Path(certificate) if certificate else None, Path(key) if key else None)


def _is_loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "localhost", "[::1]")


@contextlib.asynccontextmanager
async def channel_to(
    workspace: Workspace, service: str, *, agent_id: str = "", tenant: str = ""
) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to a service with a token; with TLS when CHAPAR_TLS_CA_FILE is set.

    Raises FAILED_PRECONDITION NO_TOKEN when `tenant` is not the one that CHAPAR_TOKEN is of.
    """
    if tenant and os.environ.get("CHAPAR_TOKEN") and (own := tenant_of(workspace)) != tenant:
        raise ChaparError(
            ErrorKind.FAILED_PRECONDITION, Reason.NO_TOKEN, f"CHAPAR_TOKEN is of tenant {own}, not of {tenant}"
        )
    token = tokens_for(workspace, tenant or tenant_of(workspace), agent_id=agent_id)
    address = address_of(workspace, service)
    async with grpc_channel(address, token=lambda _tenant: token(), tls=tls_of(address)) as channel:
        with chapar_errors():
            yield channel


def kafka_of(workspace: Workspace) -> KafkaSettings:
    """Return the settings of the cluster: KAFKA_BOOTSTRAP_SERVERS, or the broker that runs here."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        return KafkaSettings.from_environment()
    running = workspace.require_running()
    return KafkaSettings.model_validate(
        {"bootstrap_servers": running.bootstrap_servers, "topic_prefix": running.topic_prefix}
    )


def execute(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's work; print an error as one sentence on standard error and exit with code 1."""
    try:
        return asyncio.run(work())
    except BaseExceptionGroup as group:
        known = _known(group)
        if known is None:
            raise
        _explain(known)
    except (ChaparError, BrokerError, KafkaError, ValidationError, OSError) as error:
        _explain(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(1)


def _known(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            if (inner := _known(error)) is not None:
                return inner
        elif isinstance(error, ChaparError | BrokerError | KafkaError | ValidationError | OSError):
            return error
    return None


def _explain(error: BaseException) -> None:
    if isinstance(error, ChaparError):
        errors.print(f"[bold red]{error.reason}[/]: ", end="")
        errors.print(error.message, markup=False, highlight=False, soft_wrap=True)
        for violation in error.violations:
            errors.print(f"  {violation.field}: {violation.description}", markup=False, soft_wrap=True)
    elif isinstance(error, ValidationError):
        # pydantic's own text contains patterns and links to a manual; the operator who set the variable needs its name.
        for problem in error.errors(include_input=False, include_url=False):
            where = ".".join(map(str, problem["loc"])) or "KAFKA_…"
            errors.print(f"The setting {where} is wrong: {problem['msg']}", markup=False, style="red", soft_wrap=True)
    else:
        errors.print(str(error) or type(error).__name__, markup=False, style="red", soft_wrap=True)
