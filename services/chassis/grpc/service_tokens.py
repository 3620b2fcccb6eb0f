"""Tokens for the calls that a service makes to another: see `ServiceTokenSettings` for the three ways."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import TokenFor
from services.chassis.lifecycle import Service
from services.chassis.reasons import Reason
from services.chassis.tokens import ServiceTokenSettings, TokenSource, read_secret
from services.chassis.tokens.fetching import fetcher
from services.chassis.tokens.outgoing import ClientCredentials, FileToken


@asynccontextmanager
async def service_tokens(
    service: Service[Any], own: ServiceTokenSettings, scopes: Iterable[str], *, look_s: float = 5.0
) -> AsyncIterator[TokenFor]:
    """Provide a source of tokens for the time of the block. Raises INVALID TOKEN_KEY when the settings name none.

    `look_s`: seconds after which a token file is read again. In development with a shared secret (`jwt.secret_file`), the secret signs the tokens.
    """
    jwt = service.settings.jwt
    subject = f"service:{service.name}"
    if own.key_file is not None:
        issuer = own.issuer or f"chapar.{service.name}"
        yield TokenSource(
            read_secret(own.key_file),
            subject,
            scopes,
            issuer=issuer,
            audience=own.audience,
            key_id=own.key_id,
            clock=service.clock,
        )
    elif own.token_file is not None:
        yield FileToken(own.token_file, look_s)
    elif own.token_url:
        async with fetcher(own.ca_file, jwt.fetch_timeout_s) as http:
            tokens = ClientCredentials(own, http, service.clock)
            gauge = service.metrics.gauge("chapar_service_token_expiry_timestamp_seconds").labels()
            gauge.set_function(lambda: tokens.ends_s)
            async with service.background(tokens.run(), "service token"):
                yield tokens
    elif jwt.secret_file is not None:
        yield TokenSource(
            read_secret(jwt.secret_file),
            subject,
            scopes,
            issuer=jwt.issuer,
            audience=jwt.audience,
            clock=service.clock,
        )
    else:
        prefix = service.settings.model_config.get("env_prefix", "")
        raise ChaparError(
            ErrorKind.INVALID,
            Reason.TOKEN_KEY,
            f"{service.name} calls another service and has no token for it: "
            f"set {prefix}SERVICE_TOKEN__KEY_FILE, __TOKEN_FILE or __TOKEN_URL",
        )
