"""A company's identity provider without changes: discovery, keys by URL, rotation, outages, and a provider that misbehaves."""

from __future__ import annotations  # the async stubs exist in .pyi files only

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from chapar.sla.v1 import sla_pb2, sla_pb2_grpc
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.grpc.client import chapar_errors, grpc_channel
from services.chassis.grpc.service_tokens import service_tokens
from services.chassis.lifecycle import Service, leaves, serving
from services.chassis.settings import ServiceSettings
from services.chassis.tokens import (
    ClaimSettings,
    IssuerSettings,
    JwtSettings,
    Role,
    ServiceTokenSettings,
    make_key_pair,
    mint,
)
from tests.fakes.identity_provider import WELL_KNOWN, IdentityProvider, SigningKey, identity_provider, make_key
from tests.integration.chassis.conftest import Probe, bearer, build_probe, dev_settings

RSA, EC, ED = make_key("rsa-1"), make_key("ec-1", "ES256"), make_key("ed-1", "EdDSA")


def trusting(provider: IdentityProvider, **changes: Any) -> JwtSettings:
    """Return settings as an operator writes them for a realm of Keycloak."""
    times = {"refresh_s": 3600, "cooldown_s": 0.2, "fetch_timeout_s": 1, "leeway_s": 1}
    issuer = {
        "issuer": provider.url,
        "discovery": True,
        "tenants": ("acme",),
        "claims": ClaimSettings(agent="preferred_username", roles=("realm_access.roles",)),
        "roles": {"contact-lead": Role.SUPERVISOR},
    }
    values = {name: changes.pop(name, value) for name, value in times.items()}
    return JwtSettings(
        issuers=(IssuerSettings(**{**issuer, **changes}),),
        revocations=False,
        stale_s=values.pop("stale_s", 3600),
        **values,
    )


@asynccontextmanager
async def a_service(
    tmp_path: Path, jwt: JwtSettings, probe: Probe | None = None
) -> AsyncIterator[tuple[Service[ServiceSettings], sla_pb2_grpc.SlaServiceAsyncStub]]:
    settings = dev_settings(tmp_path, jwt=jwt)
    async with (
        serving("probe", settings, build_probe(probe or Probe())) as service,
        grpc.aio.insecure_channel(service.endpoints["grpc"]) as channel,
    ):
        yield service, sla_pb2_grpc.SlaServiceStub(channel)


async def call(stub: sla_pb2_grpc.SlaServiceAsyncStub, token: str, *more: tuple[str, str]) -> None:
    with chapar_errors():
        await stub.GetDeadlines(sla_pb2.GetDeadlinesRequest(), metadata=(*bearer(token), *more), timeout=10)


async def refusal(stub: sla_pb2_grpc.SlaServiceAsyncStub, token: str, *more: tuple[str, str]) -> ChaparError:
    with pytest.raises(ChaparError) as caught:
        await call(stub, token, *more)
    return caught.value


def lead(provider: IdentityProvider, key: SigningKey | None = None, **claims: Any) -> str:
    """Return a supervisor's token."""
    roles = {"realm_access": {"roles": ["offline_access", "contact-lead"]}}
    return provider.sign(key, **{"tenant": "acme", "preferred_username": "sara", **roles, **claims})


async def until(what: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - the other side has no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: str(key.algorithm))
async def test_a_provider_is_usable_as_it_is(tmp_path: Path, key: SigningKey) -> None:
    """Discovery, keys of every kind, nested roles and the tenant's claim work; other tenants and audiences are refused."""
    probe = Probe()
    async with identity_provider(key) as provider, a_service(tmp_path, trusting(provider), probe) as (_, stub):
        await call(stub, lead(provider))
        assert probe.calls == [("user-1", "acme")]
        for claims, reason in (
            ({"tenant": "beta"}, "TOKEN_TENANT"),
            ({"tenant": ["acme"]}, "TOKEN_MALFORMED"),
            ({"tenant": None}, "TOKEN_TENANT"),
            ({"aud": "account"}, "TOKEN_AUDIENCE"),
            ({"iss": provider.url + "/"}, "TOKEN_ISSUER"),
            ({"exp": float("inf")}, "TOKEN_MALFORMED"),
            ({"exp": int(time.time()) + 10 * 86_400}, "TOKEN_LIFETIME"),
            ({"realm_access": {"roles": ["supervisor", "administrator"]}}, "SCOPE_MISSING"),
            ({"realm_access": "contact-lead"}, "SCOPE_MISSING"),
        ):
            assert (await refusal(stub, lead(provider, **claims))).reason == reason
        stranger = make_key(key.key_id, key.algorithm)
        assert (await refusal(stub, lead(provider, stranger))).reason == "TOKEN_REFUSED"
        assert provider.count(WELL_KNOWN) == 1


async def test_a_rotated_key_works_at_its_first_call_and_the_old_one_no_longer(tmp_path: Path) -> None:
    """An unknown key id triggers a fetch at once; tokens of the withdrawn key are refused although they were cached."""
    async with identity_provider(RSA) as provider, a_service(tmp_path, trusting(provider)) as (service, stub):
        before = lead(provider)
        await call(stub, before)
        provider.keys = [EC]
        await asyncio.sleep(0.25)  # the minimum time between fetches that tokens trigger
        await call(stub, lead(provider))
        assert (await refusal(stub, before)).reason == "UNKNOWN_TOKEN_KEY"
        assert service.metrics.value("chapar_token_keys", provider.url) == 1
        assert service.metrics.value("chapar_token_keys_fetches_total", provider.url, "fetched") == 2


async def test_invented_key_ids_do_not_become_requests(tmp_path: Path) -> None:
    """A flood of them causes at most one fetch per cooldown, and a valid token is served meanwhile."""
    async with identity_provider(RSA) as provider:
        jwt = trusting(provider, cooldown_s=60)
        async with a_service(tmp_path, jwt) as (_, stub):
            await call(stub, lead(provider))
            fetched = provider.count("/keys")
            strangers = [lead(provider, make_key_named(f"kid-{number}")) for number in range(200)]
            refusals = await asyncio.gather(*(refusal(stub, token) for token in strangers))
            assert {error.reason for error in refusals} == {"UNKNOWN_TOKEN_KEY"}
            await call(stub, lead(provider))
            assert provider.count("/keys") == fetched


def make_key_named(key_id: str) -> SigningKey:
    return SigningKey(key_id, EC.algorithm, EC.private, EC.published)


@pytest.mark.parametrize("mode", ["hang", "500", "redirect", "huge", "gzip", "drip", "not-json", "deep"])
@pytest.mark.parametrize("path", [WELL_KNOWN, "/keys"])
async def test_a_provider_that_misbehaves_changes_nothing(tmp_path: Path, mode: str, path: str) -> None:
    """The last good keys stay in force, failures are counted, memory and the event loop are not affected."""
    async with identity_provider(RSA) as provider:
        jwt = trusting(provider, refresh_s=1, fetch_timeout_s=0.5)
        async with a_service(tmp_path, jwt) as (service, stub):
            await call(stub, lead(provider))
            provider.mode[path] = mode

            def fetches(outcome: str) -> float:
                return service.metrics.value("chapar_token_keys_fetches_total", provider.url, outcome) or 0

            await until(lambda: fetches("failed") >= 1)
            await call(stub, lead(provider, sub="user-2"))
            assert provider.count("/other") == 0, "a redirect is not followed"
            good = fetches("fetched")
            provider.mode.clear()
            provider.keys = [ED]
            await until(lambda: fetches("fetched") > good)
            await call(stub, lead(provider))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.example"}, {"issuer": None}, {"jwks_uri": "http://keys.example/keys"},
        {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": 7}, {"jwks_uri": None}, {"jwks_uri": "https://"},
        {"jwks_uri": "https://[::1"}, {"jwks_uri": "https://a\u0000b/"}, {"jwks_uri": "https://" + "x" * 70_000},
    ],
)  # fmt: skip
async def test_a_discovery_document_of_another_issuer_gives_no_keys(tmp_path: Path, changes: dict[str, Any]) -> None:
    """OpenID Connect Discovery 4.3; a call is answered UNAVAILABLE, because the token may be valid."""
    async with identity_provider(RSA) as provider:
        provider.discovery = changes
        async with a_service(tmp_path, trusting(provider)) as (service, stub):
            error = await refusal(stub, lead(provider))
            assert (error.kind, error.reason) == (ErrorKind.UNAVAILABLE, "TOKEN_KEYS_UNAVAILABLE")
            assert not service.health.ready, "a pod without keys must not replace one that has them"


async def test_a_provider_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """The service starts, is not ready, and serves as soon as it has keys."""
    async with identity_provider(RSA) as provider:
        provider.mode["/keys"] = "500"
        async with a_service(tmp_path, trusting(provider)) as (service, stub):
            assert (await refusal(stub, lead(provider))).reason == "TOKEN_KEYS_UNAVAILABLE"
            provider.mode.clear()
            await until(lambda: service.health.ready)
            await call(stub, lead(provider))


async def test_keys_that_are_too_old_are_not_trusted(tmp_path: Path) -> None:
    """The same for a token that was verified before: the key may have been withdrawn long ago."""
    async with identity_provider(RSA) as provider:
        jwt = trusting(provider, refresh_s=1).model_copy(update={"stale_s": 1.5})
        async with a_service(tmp_path, jwt) as (_, stub):
            token = lead(provider)
            await call(stub, token)
            provider.mode["/keys"] = "500"

            async def becomes(refused: bool) -> None:
                while True:
                    try:
                        await call(stub, token)
                        now = False
                    except ChaparError as error:
                        now = error.reason == "TOKEN_KEYS_UNAVAILABLE"
                    if now == refused:
                        return

            await asyncio.wait_for(becomes(refused=True), 10)
            provider.mode.clear()
            await asyncio.wait_for(becomes(refused=False), 10)


async def test_services_get_tokens_by_client_credentials(tmp_path: Path) -> None:
    """The provider gives one token; the call names the tenant, which is checked against the issuer's tenants; renewed in time."""
    secret = tmp_path / "client-secret"
    secret.write_text("s3cret\n")
    probe = Probe()
    async with identity_provider(RSA) as provider:
        provider.clients = {"chapar-sla": "s3cret"}
        own = ServiceTokenSettings(
            token_url=f"{provider.url}/token",
            client_id="chapar-sla",
            client_secret_file=secret,
            scope="sla.read person.erase",
        )
        jwt = trusting(provider, tenants=("acme", "beta"), services=("chapar-sla",), scopes=("sla.read",))
        async with a_service(tmp_path, jwt, probe) as (service, stub), service_tokens(service, own, ()) as tokens:
            await until(lambda: service.metrics.value("chapar_service_token_expiry_timestamp_seconds") or 0)
            async with grpc_channel(service.endpoints["grpc"], token=tokens) as channel:
                own_stub: Any = sla_pb2_grpc.SlaServiceStub(channel)
                for tenant in ("acme", "beta"):
                    await own_stub.GetDeadlines(
                        sla_pb2.GetDeadlinesRequest(), metadata=(("x-chapar-tenant-of-token", tenant),), timeout=5
                    )
            assert probe.calls == [("chapar-sla", "acme"), ("chapar-sla", "beta")]
            token = tokens("acme")
            assert (await refusal(stub, token, ("chapar-tenant", "gamma"))).reason == "TENANT_REFUSED"
            assert (await refusal(stub, token, ("chapar-tenant", "*"))).reason == "TENANT_REFUSED"
            assert (await refusal(stub, token)).reason == "TENANT_MISSING"
            # People's tokens do not choose their tenant.
            await call(stub, lead(provider, scope="sla.read"), ("chapar-tenant", "beta"))
            assert probe.calls[-1] == ("user-1", "acme")
            assert provider.forms[0]["grant_type"] == ["client_credentials"]


@pytest.mark.parametrize(
    "answer",
    [
        {}, [], {"access_token": 7}, {"access_token": ""}, {"access_token": "x" * 9000},
        {"access_token": "a", "expires_in": float("inf")}, {"access_token": "a", "expires_in": "600"},
        {"access_token": "a", "expires_in": -1}, {"access_token": "a", "expires_in": True},
    ],
)  # fmt: skip
async def test_a_token_endpoint_that_answers_nonsense_gives_no_token(tmp_path: Path, answer: Any) -> None:
    """The endpoint is asked again; calls of the service are UNAVAILABLE meanwhile, and are not sent without a token."""
    secret = tmp_path / "client-secret"
    secret.write_text("s3cret")
    async with identity_provider(RSA) as provider:
        provider.clients = {"c": "s3cret"}
        provider.token_answer = answer
        own = ServiceTokenSettings(token_url=f"{provider.url}/token", client_id="c", client_secret_file=secret)
        async with a_service(tmp_path, trusting(provider)) as (service, _), service_tokens(service, own, ()) as tokens:
            await until(lambda: provider.count("/token") >= 2)
            with pytest.raises(ChaparError, match="no token"):
                tokens("acme")
            provider.token_answer = None
            await until(lambda: service.metrics.value("chapar_service_token_expiry_timestamp_seconds") or 0)
            assert tokens("acme")


async def test_a_service_with_its_own_key_is_trusted_within_its_limits(tmp_path: Path) -> None:
    """Its key is accepted by the one service that trusts it, for the scopes that its calls need."""
    make_key_pair(tmp_path / "sla.pem", tmp_path / "sla.pub.pem")
    trusted = IssuerSettings(
        issuer="chapar.probe", public_key_file=tmp_path / "sla.pub.pem", tenants=("*",), scopes=("sla.read",)
    )
    jwt = JwtSettings(issuers=(trusted,), revocations=False)
    own = ServiceTokenSettings(key_file=tmp_path / "sla.pem")
    async with (
        a_service(tmp_path, jwt) as (service, stub),
        service_tokens(service, own, ("sla.read", "person.erase")) as tokens,
    ):
        await call(stub, tokens("acme"))
        with pytest.raises(grpc.aio.AioRpcError, match=r"sla\.read"):
            await stub.GetMeasures(  # the same token without its scope would be refused: see the cap
                sla_pb2.GetMeasuresRequest(), metadata=bearer(service_token_without_scope(tmp_path)), timeout=5
            )


def service_token_without_scope(tmp_path: Path) -> str:
    return mint((tmp_path / "sla.pem").read_bytes(), "x", "acme", ["routing.supervise"], issuer="chapar.probe")


async def test_a_mounted_token_file_is_read_again(tmp_path: Path) -> None:
    """The service needs no restart, whatever program renews the file; a partial file is not used."""
    file = tmp_path / "token"
    file.write_text("first\n")
    own = ServiceTokenSettings(token_file=file)
    async with (
        identity_provider(RSA) as provider,
        a_service(tmp_path, trusting(provider)) as (service, _),
        service_tokens(service, own, (), look_s=0.0) as tokens,
    ):
        assert tokens("acme") == "first"
        file.write_text("")
        assert tokens("acme") == "first"
        file.write_text("second")
        assert tokens("beta") == "second"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"jwt": {"jwks_url": "http://keys.example/keys", "revocations": False}}, "loopback"),
        ({"jwt": {"jwks_url": "http://127.0.0.1:1/k", "revocations": False}, "insecure_dev": False}, "insecure_dev"),
        ({"jwt": {"secret_file": "/nothing", "revocations": False}, "insecure_dev": False}, "insecure_dev"),
        ({"jwt": {"issuers": [{"issuer": "http://a.example", "discovery": True, "tenants": ["a"]}]}}, "loopback"),
    ],
)
async def test_keys_that_could_sign_or_come_without_tls_are_refused_at_start(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    """This holds outside of development on loopback."""
    settings = dev_settings(tmp_path, **changes)
    if not settings.insecure_dev:
        with pytest.raises(ChaparError, match=words):
            settings.require_keys_that_only_verify()
        return
    with pytest.raises(BaseExceptionGroup) as caught:
        async with serving("probe", settings, build_probe(Probe())):
            pass
    assert words in str(leaves(caught.value)[0])
