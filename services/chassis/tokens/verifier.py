"""Finds the caller of a token, by the keys of the issuer that the token names.

The token's own `iss` and `kid` choose among the keys that we trust, and nothing else: a key verifies tokens of its own issuer,
by its own algorithm. Verified tokens are cached until they end or their issuer's keys change.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidAudienceError, InvalidIssuerError, PyJWTError

from services.chassis.clock import Clock, system_clock
from services.chassis.reasons import Reason
from services.chassis.tokens.caller import Caller
from services.chassis.tokens.claims import ClaimRules, caller_of, times
from services.chassis.tokens.keys import VerificationKey, shared_secret
from services.chassis.tokens.refusals import EXPIRED, bad_key, refused
from services.chassis.tokens.settings import AUDIENCE, ISSUER, IssuerSettings, JwtSettings
from services.chassis.tokens.sources import FixedKeys, KeySource, pem_file, read_secret, set_file

MAX_TOKEN_CHARS: Final = 8192
_REMEMBERED: Final = 1024
_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "sub", "aud", "iss"],
    # PyJWT would compare with the machine's clock; ours is injected, so `claims.times` checks all three.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """One issuer: its name, its keys, and the meaning of its claims."""

    issuer: str
    audience: str
    keys: KeySource
    rules: ClaimRules = field(default_factory=ClaimRules)


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    trusted: TrustedIssuer
    generation: int


class Verifier:
    """Turns a token into a `Caller`, or raises UNAUTHENTICATED with a reason."""

    def __init__(self, *issuers: TrustedIssuer, leeway_s: float = 5, clock: Clock = system_clock) -> None:
        self._issuers: Mapping[str, TrustedIssuer] = {each.issuer: each for each in issuers}
        self._leeway_s = leeway_s
        self._clock = clock
        self._seen: dict[str, _Known] = {}

    @classmethod
    def from_secret(
        cls,
        secret: bytes,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        leeway_s: float = 5,
        clock: Clock = system_clock,
    ) -> "Verifier":
        """Return a verifier of HS256 tokens, for development."""
        keys = FixedKeys(shared_secret(secret))
        return cls(TrustedIssuer(issuer, audience, keys), leeway_s=leeway_s, clock=clock)

    @classmethod
    def from_settings(
        cls, settings: JwtSettings, clock: Clock = system_clock, remote: Mapping[str, KeySource] | None = None
    ) -> "Verifier":
        """Read the key files. `remote`: by issuer, the sources of those whose keys have a URL.

        Raises INVALID naming the file that cannot be used.
        """
        if not settings.trusted:
            raise bad_key("no key to verify tokens with: set jwt public_key_file, jwks_file, jwks_url or issuers")
        trusted = [
            TrustedIssuer(each.issuer, each.audience, _source(each, remote or {}), each.rules)
            for each in settings.trusted
        ]
        return cls(*trusted, leeway_s=settings.leeway_s, clock=clock)

    def verify(self, token: str) -> Caller:
        """Return the caller that the token names, without waiting.

        Raises UNAUTHENTICATED: TOKEN_MALFORMED, _EXPIRED, _LIFETIME, _AUDIENCE, _ISSUER, _TENANT, _KEY_UNKNOWN, _REFUSED.
        Raises UNAVAILABLE TOKEN_KEYS_UNAVAILABLE when the issuer's keys are not known or not trusted any more.
        """
        now_s = self._clock() / 1000
        known = self._seen.get(token)
        if known is not None:
            if now_s >= known.caller.expires_s:
                del self._seen[token]
                raise refused(Reason.TOKEN_EXPIRED, EXPIRED)
            known.trusted.keys.candidates("")  # raises when they are not trusted any more
            if known.generation == known.trusted.keys.generation:
                return known.caller
            del self._seen[token]
        trusted, key_id = self._chosen(token)
        # Use the earlier generation: if a file changes meanwhile, the token is verified again and not cached wrongly.
        generation = trusted.keys.generation
        claims = self._decode(token, trusted, trusted.keys.candidates(key_id))
        issued_s, expires_s = times(claims, now_s, self._leeway_s, trusted.rules.max_lifetime_s)
        caller = caller_of(claims, trusted.rules, issued_s, expires_s + self._leeway_s)
        if len(self._seen) >= _REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[token] = _Known(caller, trusted, generation)
        return caller

    async def prepare(self, token: str) -> None:
        """Let an unknown key id become known. `verify` reports every fault of the token."""
        if token in self._seen:
            return
        with contextlib.suppress(Exception):
            trusted, key_id = self._chosen(token)
            await trusted.keys.fetch_for(key_id)

    def _chosen(self, token: str) -> tuple[TrustedIssuer, str]:
        """Return the issuer and key id that an unverified token names."""
        if len(token) > MAX_TOKEN_CHARS:
            raise refused(Reason.TOKEN_MALFORMED, f"the token is longer than {MAX_TOKEN_CHARS} characters")
        try:
            parts = jwt.decode_complete(token, options={"verify_signature": False})
        except PyJWTError as error:
            raise refused(Reason.TOKEN_REFUSED, f"the token cannot be verified ({type(error).__name__})") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise refused(Reason.TOKEN_MALFORMED, "the token is not a JSON Web Token") from error
        issuer, key_id = parts["payload"].get("iss"), parts["header"].get("kid", "")
        trusted = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            names = " or ".join(sorted(self._issuers))
            raise refused(Reason.TOKEN_ISSUER, f"the token was not issued by {names} (claim iss)")
        return trusted, key_id if isinstance(key_id, str) else ""

    def _decode(self, token: str, trusted: TrustedIssuer, keys: Any) -> dict[str, Any]:
        if not keys:
            raise refused(Reason.UNKNOWN_TOKEN_KEY, "the token is signed with a key that its issuer does not publish")
        for key in keys[:-1]:
            with contextlib.suppress(PyJWTError, ValueError, TypeError, RecursionError):
                return self._decode_with(token, trusted, key)
        try:
            return self._decode_with(token, trusted, keys[-1])
        except InvalidAudienceError as error:
            raise refused(
                Reason.TOKEN_AUDIENCE, f"the token is not meant for {trusted.audience!r} (claim aud)"
            ) from error
        except InvalidIssuerError as error:
            raise refused(Reason.TOKEN_ISSUER, f"the token was not issued by {trusted.issuer!r} (claim iss)") from error
        except PyJWTError as error:
            raise refused(Reason.TOKEN_REFUSED, f"the token cannot be verified ({type(error).__name__})") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise refused(Reason.TOKEN_MALFORMED, "the token is not a JSON Web Token") from error

    def _decode_with(self, token: str, trusted: TrustedIssuer, key: VerificationKey) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=trusted.audience,
            issuer=trusted.issuer,
            options=_OPTIONS,
        )
        return claims


def verify(secret: bytes, token: str) -> Caller:
    """Verify one HS256 token with Chapar's own issuer and audience."""
    return Verifier.from_secret(secret).verify(token)


def _source(settings: IssuerSettings, remote: Mapping[str, KeySource]) -> KeySource:
    if isinstance(settings, JwtSettings) and settings.secret_file is not None:
        return FixedKeys(shared_secret(read_secret(settings.secret_file)))
    if settings.public_key_file is not None:
        return pem_file(settings.public_key_file)
    if settings.jwks_file is not None:
        return set_file(settings.jwks_file)
    if settings.issuer not in remote:
        raise bad_key(f"the keys of {settings.issuer} have a URL, and this process does not fetch keys")
    return remote[settings.issuer]
