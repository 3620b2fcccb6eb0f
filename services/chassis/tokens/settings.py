"""Settings for verifying tokens, and for the tokens of a service's own calls. Read by every service's settings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.chassis.tokens.claims import ANY, ClaimRules
from services.chassis.tokens.roles import Role

ISSUER: Final = "chapar"
AUDIENCE: Final = "chapar"
MAX_LIFETIME_S: Final = 30 * 86_400
"""No issuer may allow a longer life. Revocations are kept a day longer than this (`revocations.v1`)."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_SOURCES: Final = ("secret_file", "public_key_file", "jwks_file", "jwks_url", "discovery")

Url = Annotated[str, Field(pattern=r"^(https?://[^\s/@#?]+(/[^\s#]*)?)?$", max_length=2048)]
Path_ = Annotated[str, Field(min_length=1, max_length=512)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaimSettings(_Frozen):
    """The paths of an issuer's claims. A path is `a.b`, a JSON pointer `/a/b`, or one name with `://` in it."""

    subject: Path_ = Field(default="sub", description="The caller.")
    tenant: Path_ = Field(default="tenant", description="The tenant that the caller belongs to.")
    agent: Path_ = Field(default="agent", description="The agent's id, when an agent calls.")
    scopes: tuple[Path_, ...] = Field(
        default=("scope",), max_length=8, description="Scopes: a text with spaces, or a list (`scp`, `permissions`)."
    )
    roles: tuple[Path_, ...] = Field(
        default=(), max_length=8, description="Roles (`realm_access.roles`, `roles`), translated by `roles`."
    )
    scope_prefix: str = Field(default="", max_length=256, description="Only scopes that start with this text are used.")


class IssuerSettings(_Frozen):
    """One issuer of tokens, the keys that verify them, and the limits of their claims."""

    issuer: str = Field(min_length=1, max_length=512, description="Required `iss`.")
    audience: str = Field(default=AUDIENCE, min_length=1, max_length=512, description="Required in `aud`.")
    public_key_file: Path | None = Field(default=None, description="PEM public key or certificate: RSA, EC, Ed25519.")
    jwks_file: Path | None = Field(default=None, description="JSON Web Key Set; read again when it changes.")
    jwks_url: Url = Field(default="", description="JSON Web Key Set by https; fetched repeatedly.")
    discovery: bool = Field(
        default=False, description="Take jwks_url from `<issuer>/.well-known/openid-configuration`."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM certificate authorities for these URLs, instead of the public ones."
    )
    tenants: tuple[str, ...] = Field(
        default=(), max_length=10_000, description='Tenants that this issuer may name; ["*"] is every tenant.'
    )
    tenant: str = Field(
        default="", max_length=256, description="The tenant of all its tokens, whatever their claims say."
    )
    scopes: tuple[str, ...] = Field(
        default=(), max_length=256, description="The only scopes that its tokens may have; empty: any."
    )
    roles: Mapping[str, Role] = Field(
        default_factory=dict, description="Maps its role names to Chapar's; empty: the names are the same."
    )
    services: tuple[str, ...] = Field(
        default=(), max_length=64, description="Subjects without a tenant that name one per call (`chapar-tenant`)."
    )
    max_lifetime_s: int = Field(
        default=86_400, ge=60, le=MAX_LIFETIME_S, description="Longest time from `iat` to `exp`, in seconds."
    )
    claims: ClaimSettings = Field(default_factory=ClaimSettings, description="Names of its claims.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name, None)]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(_SOURCES)}, not {' and '.join(given)}")
        if self.discovery and not self.issuer.startswith(("https://", "http://")):
            raise ValueError("discovery needs an issuer that is a URL")
        if self.tenant and self.tenants:
            raise ValueError("give tenant (all tokens are for it) or tenants (those that tokens may name), not both")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is a key to verify with."""
        return any(getattr(self, name, None) for name in _SOURCES)

    @property
    def urls(self) -> Iterator[str]:
        """Yield the URLs that are fetched."""
        if self.jwks_url:
            yield self.jwks_url
        if self.discovery:
            yield self.issuer

    @property
    def rules(self) -> ClaimRules:
        """Return the rules for the pure part."""
        claims = self.claims
        return ClaimRules(
            subject=claims.subject,
            tenant=claims.tenant,
            agent=claims.agent,
            scopes=claims.scopes,
            roles=claims.roles,
            scope_prefix=claims.scope_prefix,
            role_names={name: role.value for name, role in self.roles.items()} if self.roles else None,
            fixed_tenant=self.tenant,
            tenants=frozenset([self.tenant] if self.tenant else self._may_name()),
            most_scopes=frozenset(self.scopes) if self.scopes else None,
            services=frozenset(self.services),
            max_lifetime_s=self.max_lifetime_s,
        )

    def _may_name(self) -> tuple[str, ...]:
        return self.tenants


class JwtSettings(IssuerSettings):
    """How tokens are verified: one issuer here, more of them in `issuers`. A process that serves gRPC needs keys of at least one."""

    issuer: str = Field(default=ISSUER, min_length=1, max_length=512, description="Required `iss`.")
    tenants: tuple[str, ...] = Field(default=(), max_length=10_000, description="Tenants it may name; empty: any.")
    secret_file: Path | None = Field(
        default=None, description="Shared secret (HS256), at least 32 bytes: development on loopback only."
    )
    leeway_s: int = Field(default=5, ge=0, le=300, description="Seconds by which clocks may differ.")
    issuers: tuple[IssuerSettings, ...] = Field(
        default=(), max_length=32, description="More issuers that are trusted, each with its own keys and limits."
    )
    refresh_s: float = Field(default=300, ge=1, le=86_400, description="Seconds between fetches of a key set.")
    cooldown_s: float = Field(
        default=5, ge=0.05, le=3600, description="Minimum seconds between fetches that unknown key ids trigger."
    )
    stale_s: float = Field(
        default=86_400, ge=1, description="Seconds for which keys are trusted when they cannot be fetched again."
    )
    fetch_timeout_s: float = Field(default=5, gt=0, le=60, description="Maximum seconds for one fetch.")
    revocations: bool = Field(
        default=True, description="Follow revocations.v1. Off only where a process has no cluster to read from."
    )

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        names = [each.issuer for each in self.trusted]
        if len(set(names)) < len(names):
            raise ValueError("an issuer is listed twice: its keys and limits would be ambiguous")
        for each in self.issuers:
            if not each.configured:
                raise ValueError(f"issuers: {each.issuer} has no keys: give public_key_file, jwks_file or jwks_url")
            if not each.tenants and not each.tenant:
                raise ValueError(f'issuers: {each.issuer} needs tenant or tenants (["*"] for every tenant)')
        return self

    @property
    def trusted(self) -> tuple[IssuerSettings, ...]:
        """Every issuer with keys."""
        return ((self,) if self.configured else ()) + self.issuers

    def _may_name(self) -> tuple[str, ...]:
        return self.tenants or (ANY,)

    def development_only(self) -> str:
        """Return why these settings are for development on loopback only; empty when they are not."""
        if self.secret_file is not None:
            return "jwt.secret_file is a secret that can sign as well as verify"
        for each in self.trusted:
            for url in each.urls:
                if not url.startswith("https://"):
                    return f"{url} is not https"
        return ""

    def refusal(self) -> str:
        """Return why these settings are never valid; empty when they may be."""
        plain = [url for each in self.trusted for url in each.urls if not url.startswith("https://")]
        return next(
            (f"{url}: keys must be fetched by https, or by http from loopback" for url in plain if not loopback(url)),
            "",
        )


class ServiceTokenSettings(_Frozen):
    """How a service gets the tokens of its own calls: from one of a private key, a mounted file, client credentials."""

    key_file: Path | None = Field(
        default=None, description="PEM private key (EC, Ed25519, RSA) of an issuer that is only this service."
    )
    issuer: str = Field(default="", max_length=512, description="`iss` with key_file; empty: chapar.<service>.")
    key_id: str = Field(default="", max_length=256, description="`kid` with key_file, where the verifier has a set.")
    token_file: Path | None = Field(default=None, description="File with a token; read again when it changes.")
    token_url: Url = Field(default="", description="Token endpoint for client credentials (RFC 6749, 4.4).")
    client_id: str = Field(default="", max_length=512, description="This service's client id at the token endpoint.")
    client_secret_file: Path | None = Field(default=None, description="File with the client's secret.")
    scope: str = Field(default="", max_length=1024, description="Scopes to ask the token endpoint for.")
    audience: str = Field(
        default=AUDIENCE, max_length=512, description="`aud`, or the audience to request from the endpoint."
    )
    ca_file: Path | None = Field(default=None, description="PEM certificate authorities for token_url.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("key_file", "token_file", "token_url") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give one of key_file, token_file, token_url, not {' and '.join(given)}")
        if self.token_url and not (self.client_id and self.client_secret_file):
            raise ValueError("token_url needs client_id and client_secret_file")
        if self.token_url.startswith("http://") and not loopback(self.token_url):
            raise ValueError("token_url is https, or http to loopback")
        return self


def loopback(url: str) -> bool:
    """Return whether a URL names this machine."""
    return urlsplit(url).hostname in _LOOPBACK
