"""Signs tokens: for development, and for the calls of a service that is its own issuer."""

import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from services.chassis.clock import Clock, system_clock
from services.chassis.tokens.keys import MIN_SECRET_BYTES, algorithm_of
from services.chassis.tokens.refusals import bad_key
from services.chassis.tokens.settings import AUDIENCE, ISSUER

_KEPT: Final = 1024


def mint(
    secret_or_key: bytes | str,
    subject: str,
    tenant: str,
    scopes: Iterable[str],
    agent_id: str = "",
    ttl: float = 3600.0,
    *,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
    key_id: str = "",
    clock: Clock = system_clock,
) -> str:
    """Return a signed token, valid for `ttl` seconds. A PEM private key signs by its own algorithm, any other key is an HS256 secret."""
    key, algorithm = _signing_key(secret_or_key.encode() if isinstance(secret_or_key, str) else secret_or_key)
    now_s = clock() / 1000
    claims: dict[str, Any] = {
        "sub": subject,
        "tenant": tenant,
        "scope": " ".join(sorted(set(scopes))),
        "iss": issuer,
        "aud": audience,
        "iat": int(now_s) if ttl >= 1 else int(now_s + ttl) - 1,
        "exp": int(now_s + ttl),
        "jti": secrets.token_hex(8),
    }
    if agent_id:
        claims["agent"] = agent_id
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


def _signing_key(key: bytes) -> tuple[Any, str]:
    if not key.lstrip().startswith(b"-----BEGIN"):
        if len(key) < MIN_SECRET_BYTES:
            raise ValueError(f"a shared secret has at least {MIN_SECRET_BYTES} bytes, this one has {len(key)}")
        return key, "HS256"
    try:
        loaded = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise bad_key("the signing key is not a PEM private key without a password") from error
    algorithm = algorithm_of(loaded)
    if algorithm is None:
        raise bad_key("the signing key is neither RSA of 2048 bits or more, nor EC, nor Ed25519")
    return loaded, algorithm


def make_key_pair(private: Path, public: Path) -> None:
    """Make an Ed25519 key pair if there is none: only the owner can read the private file, and it is never replaced."""
    if not private.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_once(private, pem)
    # Derived from the private file each time, so that a pair whose creation was interrupted is completed.
    key = load_pem_private_key(private.read_bytes(), password=None)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not public.exists() or public.read_bytes() != pem:
        draft = public.with_name(f".{public.name}.{secrets.token_hex(4)}")
        draft.write_bytes(pem)
        draft.replace(public)


def _write_once(path: Path, content: bytes) -> None:
    """Write a complete file, unless another process was first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        path.hardlink_to(draft)  # unlike a rename it never replaces a file that another process made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()


class TokenSource:
    """Tokens for a service's own calls; a new one is minted when half of a token's life is over."""

    names_tenant = False

    def __init__(
        self,
        secret_or_key: bytes | str,
        subject: str,
        scopes: Iterable[str],
        *,
        ttl: float = 600.0,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        key_id: str = "",
        agent_id: str = "",
        clock: Clock = system_clock,
    ) -> None:
        self._key = secret_or_key
        self._subject = subject
        self._scopes = frozenset(scopes)
        self._ttl = ttl
        self._issuer = issuer
        self._audience = audience
        self._key_id = key_id
        self._agent_id = agent_id
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    def __call__(self, tenant: str) -> str:
        """Return a token of this service for one tenant."""
        now_s = self._clock() / 1000
        kept = self._kept.get(tenant)
        if kept is not None and now_s < kept[1]:
            return kept[0]
        token = mint(
            self._key,
            self._subject,
            tenant,
            self._scopes,
            self._agent_id,
            self._ttl,
            issuer=self._issuer,
            audience=self._audience,
            key_id=self._key_id,
            clock=self._clock,
        )
        if len(self._kept) >= _KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tenant] = (token, now_s + self._ttl / 2)
        return token


def seconds_left(token: str) -> float:
    """Return the seconds until a token expires, unverified: for a client that decides when to renew."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims.get("exp", 0)) - time.time()
