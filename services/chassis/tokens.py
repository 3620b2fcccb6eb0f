"""JWTs: who calls, for which tenant, and what the caller may do.

Claims: `sub` (subject), `tenant`, `scope` (space-separated, RFC 8693), `agent` (an agent's id, when a person at a desk
calls), `iss`, `aud`, `iat`, `exp`, `jti`. A token is never logged. The algorithm follows from the kind of key that the
verifier holds, never from the token's header, so a public key can't be mistaken for a shared secret.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidAudienceError, InvalidIssuerError, PyJWTError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.chassis.clock import Clock, system_clock
from services.chassis.errors import ChaparError, ErrorKind

ISSUER = "chapar"
AUDIENCE = "chapar"
MIN_SECRET_BYTES = 32  # RFC 7518, 3.2: an HS256 key is at least as long as the hash
MAX_TOKEN_CHARS = 8192
_CACHE_SIZE = 1024


class JwtSettings(BaseModel):
    """How tokens are verified. Exactly one key source is needed where gRPC is served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret_file: Path | None = Field(default=None, description="Shared secret (HS256), at least 32 bytes.")
    public_key_file: Path | None = Field(default=None, description="PEM public key (RS256).")
    jwks_file: Path | None = Field(default=None, description="JSON Web Key Set with RSA keys (RS256, chosen by kid).")
    issuer: str = Field(default=ISSUER, description="Required `iss`.")
    audience: str = Field(default=AUDIENCE, description="Required `aud`.")
    leeway_s: int = Field(default=5, ge=0, le=300, description="Seconds by which clocks may differ.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [n for n in ("secret_file", "public_key_file", "jwks_file") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of secret_file, public_key_file, jwks_file, not {' and '.join(given)}")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is a key to verify with."""
        return any((self.secret_file, self.public_key_file, self.jwks_file))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. The tenant comes from here, never from a request's body."""

    subject: str
    tenant: str
    scopes: frozenset[str]
    agent_id: str = ""


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
    """A signed token, valid for `ttl` seconds. A PEM private key signs RS256, anything else is a secret for HS256."""
    key = secret_or_key.encode() if isinstance(secret_or_key, str) else secret_or_key
    algorithm = "RS256" if key.lstrip().startswith(b"-----BEGIN") else "HS256"
    if algorithm == "HS256" and len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"a shared secret has at least {MIN_SECRET_BYTES} bytes, this one has {len(key)}")
    now_s = clock() / 1000
    claims: dict[str, Any] = {
        "sub": subject,
        "tenant": tenant,
        "scope": " ".join(sorted(set(scopes))),
        "iss": issuer,
        "aud": audience,
        "iat": int(now_s),
        "exp": int(now_s + ttl),
        "jti": secrets.token_hex(8),
    }
    if agent_id:
        claims["agent"] = agent_id
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


class Verifier:
    """Turns a token into a `Caller`, or raises UNAUTHENTICATED with a reason. Verified tokens are remembered."""

    def __init__(
        self,
        keys: Mapping[str, Any],
        algorithm: str,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        leeway_s: float = 5,
        clock: Clock = system_clock,
    ) -> None:
        """`keys`: by key id; the id "" stands for tokens without one, and for any when it is the only key."""
        self._keys = keys
        self._algorithm = algorithm
        self._issuer = issuer
        self._audience = audience
        self._leeway_s = leeway_s
        self._clock = clock
        self._seen: dict[str, tuple[Caller, float]] = {}

    @classmethod
    def from_secret(cls, secret: bytes, **options: Any) -> "Verifier":
        """A verifier of HS256 tokens."""
        if len(secret) < MIN_SECRET_BYTES:
            raise _bad_key(f"the shared secret has {len(secret)} bytes, it needs at least {MIN_SECRET_BYTES}")
        return cls({"": secret}, "HS256", **options)

    @classmethod
    def from_settings(cls, settings: JwtSettings, clock: Clock = system_clock) -> "Verifier":
        """Reads the key files once. Raises INVALID naming the file that can't be used."""
        options: dict[str, Any] = {
            "issuer": settings.issuer,
            "audience": settings.audience,
            "leeway_s": settings.leeway_s,
            "clock": clock,
        }
        if settings.secret_file is not None:
            return cls.from_secret(read_secret(settings.secret_file), **options)
        if settings.public_key_file is not None:
            return cls({"": _read(settings.public_key_file)}, "RS256", **options)
        if settings.jwks_file is not None:
            return cls(_read_jwks(settings.jwks_file), "RS256", **options)
        raise _bad_key("no key to verify tokens with: set jwt secret_file, public_key_file or jwks_file")

    def verify(self, token: str) -> Caller:
        """Who the token stands for.

        Raises ChaparError UNAUTHENTICATED: TOKEN_MALFORMED, TOKEN_EXPIRED, TOKEN_AUDIENCE, TOKEN_ISSUER, TOKEN_REFUSED.
        """
        now_s = self._clock() / 1000
        known = self._seen.get(token)
        if known is not None:
            if now_s < known[1] + self._leeway_s:
                return known[0]
            del self._seen[token]
            raise _refused("TOKEN_EXPIRED", "the token has expired: get a new one")
        if len(token) > MAX_TOKEN_CHARS:
            raise _refused("TOKEN_MALFORMED", f"the token is longer than {MAX_TOKEN_CHARS} characters")
        claims = self._decode(token)
        # PyJWT compares with the machine's clock; ours is injected, so both times are checked here.
        if now_s >= claims["exp"] + self._leeway_s:
            raise _refused("TOKEN_EXPIRED", "the token has expired: get a new one")
        for claim in ("iat", "nbf"):
            if now_s + self._leeway_s < claims.get(claim, 0):
                raise _refused("TOKEN_REFUSED", f"the token is not valid yet ({claim}): do the clocks agree?")
        caller = _caller(claims)
        if len(self._seen) >= _CACHE_SIZE:
            self._seen.pop(next(iter(self._seen)))
        self._seen[token] = (caller, float(claims["exp"]))
        return caller

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_for(token),
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except ExpiredSignatureError as error:  # kept should PyJWT ever ignore verify_exp
            raise _refused("TOKEN_EXPIRED", "the token has expired: get a new one") from error
        except InvalidAudienceError as error:
            raise _refused("TOKEN_AUDIENCE", f"the token is not meant for {self._audience!r} (claim aud)") from error
        except InvalidIssuerError as error:
            raise _refused("TOKEN_ISSUER", f"the token was not issued by {self._issuer!r} (claim iss)") from error
        except PyJWTError as error:
            raise _refused("TOKEN_REFUSED", f"the token can't be verified ({type(error).__name__})") from error
        except (ValueError, RecursionError) as error:
            raise _refused("TOKEN_MALFORMED", "the token is not a JSON Web Token") from error
        for name in ("exp", "iat", "nbf"):
            if name in claims and (isinstance(claims[name], bool) or not isinstance(claims[name], int | float)):
                raise _refused("TOKEN_MALFORMED", f"the token's {name} is not a number")
        return claims

    def _key_for(self, token: str) -> Any:
        if len(self._keys) == 1:
            return next(iter(self._keys.values()))
        key_id = jwt.get_unverified_header(token).get("kid", "")
        if key_id not in self._keys:
            raise _refused("TOKEN_REFUSED", "the token is signed with a key that is not in the key set")
        return self._keys[key_id]


def verify(secret: bytes, token: str) -> Caller:
    """Verifies one HS256 token with Chapar's own issuer and audience."""
    return Verifier.from_secret(secret).verify(token)


def read_secret(path: Path) -> bytes:
    """The shared secret in a file, without the newline that editors add."""
    return _read(path).rstrip(b"\r\n")


def ensure_secret(path: Path) -> bytes:
    """The secret in `path`, made on first use, readable by its owner only. For development: `chapar run`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32) + "\n")
        try:
            path.hardlink_to(draft)  # unlike a rename it never replaces the secret that another process made meanwhile
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return read_secret(path)


class TokenSource:
    """Tokens for a service's own calls, minted anew when half of their life is over."""

    def __init__(
        self,
        secret_or_key: bytes | str,
        subject: str,
        scopes: Iterable[str],
        *,
        ttl: float = 600.0,
        settings: JwtSettings | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._key = secret_or_key
        self._subject = subject
        self._scopes = frozenset(scopes)
        self._ttl = ttl
        self._settings = settings or JwtSettings()
        self._clock = clock
        self._kept: dict[str, tuple[str, float]] = {}

    def __call__(self, tenant: str) -> str:
        """A token of this service for one tenant."""
        now_s = self._clock() / 1000
        kept = self._kept.get(tenant)
        if kept is not None and now_s < kept[1]:
            return kept[0]
        token = mint(
            self._key,
            self._subject,
            tenant,
            self._scopes,
            ttl=self._ttl,
            issuer=self._settings.issuer,
            audience=self._settings.audience,
            clock=self._clock,
        )
        if len(self._kept) >= _CACHE_SIZE:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tenant] = (token, now_s + self._ttl / 2)
        return token


def seconds_left(token: str) -> float:
    """Seconds until a token expires, unverified: for a client that decides when to renew."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims.get("exp", 0)) - time.time()


def _caller(claims: dict[str, Any]) -> Caller:
    texts = {name: claims.get(name, "") for name in ("sub", "tenant", "scope", "agent")}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise _refused("TOKEN_MALFORMED", f"the token's {name} is not text")
    return Caller(texts["sub"], texts["tenant"], frozenset(texts["scope"].split()), texts["agent"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad_key(f"can't read {path}: {error.strerror}") from error


def _read_jwks(path: Path) -> dict[str, Any]:
    try:
        keys = json.loads(_read(path))["keys"]
        found = {key["kid"]: jwt.PyJWK(key, algorithm="RS256").key for key in keys}
    except (ValueError, KeyError, TypeError, PyJWTError) as error:
        raise _bad_key(f"{path} is not a JSON Web Key Set of RSA keys with kid ({error})") from error
    if not found:
        raise _bad_key(f"{path} holds no key")
    return found


def _bad_key(message: str) -> ChaparError:
    return ChaparError(ErrorKind.INVALID, "TOKEN_KEY", message)


def _refused(reason: str, message: str) -> ChaparError:
    return ChaparError(ErrorKind.UNAUTHENTICATED, reason, message)
