"""Tokens give the caller, the tenant and the rights; every other token is refused with a reason."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.clock import ManualClock
from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens import (
    IssuerSettings,
    JwtSettings,
    TokenSource,
    Verifier,
    make_key_pair,
    mint,
    seconds_left,
    verify,
)
from services.chassis.tokens.keys import key_of_pem
from services.chassis.tokens.sources import FixedKeys
from services.chassis.tokens.verifier import TrustedIssuer

SECRET = b"0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verifier_of(public: bytes = PUBLIC) -> Verifier:
    return Verifier(TrustedIssuer("chapar", "chapar", FixedKeys(key_of_pem(public, "the test's key"))))


def reason(verifier: Verifier, token: str) -> str:
    with pytest.raises(ChaparError) as caught:
        verifier.verify(token)
    assert caught.value.kind is ErrorKind.UNAUTHENTICATED
    assert token not in caught.value.message or not token
    return caught.value.reason


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_minted_token_is_verified() -> None:
    """Subject, tenant, scopes and agent are unchanged."""
    token = mint(SECRET, "desk:sara", "acme", ["router.agent", "router.read"], agent_id="a-1", ttl=60)
    caller = verify(SECRET, token)
    assert (caller.subject, caller.tenant, caller.agent_id) == ("desk:sara", "acme", "a-1")
    assert caller.scopes == {"router.agent", "router.read"}
    assert 50 < seconds_left(token) <= 60


def test_a_private_key_signs_rs256() -> None:
    """For installations whose services must not share a secret."""
    token = mint(PRIVATE, "service:sla", "acme", ["router.write"])
    assert verifier_of().verify(token).subject == "service:sla"


def test_a_token_expires_on_time_also_when_it_is_cached() -> None:
    """The injected clock decides, with the leeway and not more."""
    clock = ManualClock()
    verifier = Verifier.from_secret(SECRET, clock=clock, leeway_s=5)
    token = mint(SECRET, "s", "acme", [], ttl=60, clock=clock)
    assert verifier.verify(token) == verifier.verify(token)
    clock.advance(64_000)
    verifier.verify(token)
    clock.advance(2_000)
    assert reason(verifier, token) == "TOKEN_EXPIRED"
    assert reason(verifier, token) == "TOKEN_EXPIRED"


def test_a_token_of_the_future_is_refused() -> None:
    """A clock that is wrong by more than the leeway must be noticed."""
    clock = ManualClock()
    token = mint(SECRET, "s", "acme", [], clock=clock)
    assert reason(Verifier.from_secret(SECRET, clock=ManualClock(clock() - 60_000)), token) == "TOKEN_REFUSED"


def test_the_token_does_not_choose_the_algorithm() -> None:
    """Neither `none` nor a public key used as a secret is accepted."""
    claims = {"sub": "x", "aud": "chapar", "iss": "chapar", "iat": 1_700_000_000, "exp": 4_000_000_000}
    assert reason(Verifier.from_secret(SECRET), forged({"alg": "none"}, claims)) == "TOKEN_REFUSED"
    assert reason(verifier_of(), forged({"alg": "HS256"}, claims, b"x")) == "TOKEN_REFUSED"
    assert reason(Verifier.from_secret(SECRET), mint(PRIVATE, "x", "acme", [])) == "TOKEN_REFUSED"


@pytest.mark.parametrize("missing", ["sub", "aud", "iss", "exp", "iat"])
def test_a_claim_that_is_missing_is_refused(missing: str) -> None:
    """A token without an end would be valid for ever."""
    claims: dict[str, Any] = {"sub": "x", "aud": "chapar", "iss": "chapar", "iat": 1_700_000_000, "exp": 4_000_000_000}
    del claims[missing]
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    assert reason(Verifier.from_secret(SECRET), token).startswith("TOKEN_")


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}"))
@settings(max_examples=60)
def test_no_text_breaks_the_verifier(text: str) -> None:
    """Whatever the header contains, the result is UNAUTHENTICATED."""
    with pytest.raises(ChaparError) as caught:
        Verifier.from_secret(SECRET).verify(text)
    assert caught.value.kind is ErrorKind.UNAUTHENTICATED


def test_a_giant_token_is_not_even_parsed() -> None:
    """The size is limited, as in every parser."""
    assert reason(Verifier.from_secret(SECRET), "x" * 10_000) == "TOKEN_MALFORMED"


def test_a_key_set_chooses_by_key_id(tmp_path: Path) -> None:
    """Keys rotate: two are valid at a time, a third is not."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    keys = []
    for key_id, key in (("old", RSA), ("new", other)):
        keys.append({**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": key_id})
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": keys}))
    verifier = Verifier.from_settings(JwtSettings(jwks_file=file))
    assert verifier.verify(mint(PRIVATE, "s", "acme", [], key_id="old")).subject == "s"
    assert reason(verifier, mint(PRIVATE, "s", "acme", [], key_id="new")) == "TOKEN_REFUSED"
    assert reason(verifier, mint(PRIVATE, "s", "acme", [], key_id="none")) == "UNKNOWN_TOKEN_KEY"
    assert reason(verifier, mint(PRIVATE, "s", "acme", [])) == "UNKNOWN_TOKEN_KEY"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": []}', b'{"keys": [{"kid": "x"}]}', b"[1]", b"\xff"])
def test_an_invalid_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    """The error comes at the start, not at the first call."""
    file = tmp_path / "jwks.json"
    file.write_bytes(content)
    with pytest.raises(ChaparError, match=r"jwks\.json"):
        Verifier.from_settings(JwtSettings(jwks_file=file))


def test_a_missing_or_short_secret_is_refused(tmp_path: Path) -> None:
    """The error has the file's name, or the number of bytes."""
    with pytest.raises(ChaparError, match="none"):
        Verifier.from_settings(JwtSettings(secret_file=tmp_path / "none"))
    with pytest.raises(ChaparError, match="at least 32"):
        Verifier.from_secret(b"short")
    with pytest.raises(ValueError, match="at least 32"):
        mint(b"short", "s", "acme", [])
    with pytest.raises(ChaparError, match="no key"):
        Verifier.from_settings(JwtSettings())


def test_a_key_pair_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    """A second process, even at the same moment, gets the key of the first; the public part can be shared."""
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    make_key_pair(private, public)
    first = private.read_bytes()
    public.unlink()  # as if the creation was interrupted
    make_key_pair(private, public)
    assert private.read_bytes() == first
    assert private.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key.pem", "key.pub.pem"]
    verifier = Verifier.from_settings(JwtSettings(public_key_file=public))
    assert verifier.verify(mint(first, "s", "acme", [])).tenant == "acme"
    with pytest.raises(ChaparError, match="private key"):
        Verifier.from_settings(JwtSettings(public_key_file=private))


def test_each_issuer_verifies_by_its_own_keys_and_within_its_own_limits(tmp_path: Path) -> None:
    """The key of one issuer is not valid in the name of another, for another tenant, or beyond its scopes."""
    keys = {}
    for name in ("a", "b"):
        make_key_pair(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem")
        keys[name] = (tmp_path / f"{name}.pem").read_bytes()
    verifier = Verifier.from_settings(
        JwtSettings(
            issuers=(
                IssuerSettings(issuer="a", public_key_file=tmp_path / "a.pub.pem", tenants=("acme",)),
                IssuerSettings(
                    issuer="b", public_key_file=tmp_path / "b.pub.pem", tenant="beta", scopes=("routing.read",)
                ),
            )
        )
    )
    assert verifier.verify(mint(keys["a"], "s", "acme", ["x"], issuer="a")).tenant == "acme"
    assert reason(verifier, mint(keys["a"], "s", "beta", ["x"], issuer="a")) == "TOKEN_TENANT"
    assert reason(verifier, mint(keys["a"], "s", "", ["x"], issuer="a")) == "TOKEN_TENANT"
    assert reason(verifier, mint(keys["a"], "s", "*", ["x"], issuer="a")) == "TOKEN_TENANT"
    assert reason(verifier, mint(keys["a"], "s", "beta", ["x"], issuer="b")) == "TOKEN_REFUSED"
    assert reason(verifier, mint(keys["a"], "s", "acme", ["x"], issuer="chapar")) == "TOKEN_ISSUER"
    caller = verifier.verify(mint(keys["b"], "s", "acme", ["routing.read", "person.erase"], issuer="b"))
    assert (caller.tenant, set(caller.scopes)) == ("beta", {"routing.read"})


def test_a_key_that_is_withdrawn_verifies_nothing_although_its_tokens_are_remembered(tmp_path: Path) -> None:
    """Rotation takes effect without a restart."""
    for name in ("a", "b"):
        make_key_pair(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem")
    token = mint((tmp_path / "a.pem").read_bytes(), "s", "acme", [])
    source = Changing((tmp_path / "a.pub.pem").read_bytes())
    verifier = Verifier(TrustedIssuer("chapar", "chapar", source))
    assert verifier.verify(token) == verifier.verify(token)
    source.change((tmp_path / "b.pub.pem").read_bytes())
    assert reason(verifier, token) == "TOKEN_REFUSED"
    assert verifier.verify(mint((tmp_path / "b.pem").read_bytes(), "s", "acme", [])).tenant == "acme"


class Changing(FixedKeys):
    """A source whose key can be replaced."""

    def __init__(self, public: bytes) -> None:
        super().__init__(key_of_pem(public, "the test's key"))

    def change(self, public: bytes) -> None:
        self._keys = (key_of_pem(public, "the test's key"),)
        self.generation += 1


def test_a_service_mints_its_own_tokens_and_renews_them_in_time() -> None:
    """They are renewed at half of their life; there is one for each tenant."""
    clock = ManualClock()
    source = TokenSource(SECRET, "service:sla", ["router.write"], ttl=100, clock=clock)
    first = source("acme")
    assert source("acme") == first
    assert source("beta") != first
    clock.advance(49_000)
    assert source("acme") == first
    clock.advance(2_000)
    renewed = source("acme")
    assert renewed != first
    assert Verifier.from_secret(SECRET, clock=clock).verify(renewed).tenant == "acme"
