"""Keys that verify tokens: the algorithm is the key's own, no key that can sign is accepted, and all input is bounded."""

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from services.chassis.errors import ChaparError, ErrorKind
from services.chassis.tokens.keys import MAX_KEYS, MAX_SET_BYTES, VerificationKey, key_of_pem, keys_of_set
from services.chassis.tokens.sources import FixedKeys
from services.chassis.tokens.verifier import TrustedIssuer, Verifier
from tests.fakes.identity_provider import SigningKey, make_key

KEYS = {name: make_key(f"k-{name}", name) for name in ("RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA")}


def key_set(*keys: dict[str, Any]) -> tuple[VerificationKey, ...]:
    return keys_of_set(json.dumps({"keys": keys}).encode(), "the set")


def refusal(raw: bytes) -> str:
    with pytest.raises(ChaparError) as caught:
        keys_of_set(raw, "the set")
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value.message


def signed(key: SigningKey, header: dict[str, Any] | None = None, algorithm: str = "") -> str:
    now = int(time.time())
    claims = {"iss": "i", "aud": "chapar", "sub": "s", "tenant": "acme", "iat": now, "exp": now + 60}
    return jwt.encode(
        claims, key.private, algorithm=algorithm or key.algorithm, headers={"kid": key.key_id, **(header or {})}
    )


def verifier(*keys: dict[str, Any]) -> Verifier:
    return Verifier(TrustedIssuer("i", "chapar", FixedKeys(*key_set(*keys))))


@pytest.mark.parametrize("name", KEYS)
def test_keys_of_every_accepted_kind_verify_their_own_algorithm(name: str) -> None:
    """RSA by PKCS1 and PSS, three curves, Ed25519; with and without `alg` and `use` if the kind decides."""
    key = KEYS[name]
    assert verifier(key.published).verify(signed(key)).tenant == "acme"
    if name != "PS384":
        bare = {field: value for field, value in key.published.items() if field not in {"alg", "use"}}
        assert verifier(bare).verify(signed(key)).tenant == "acme"


@pytest.mark.parametrize("name", KEYS)
def test_a_header_never_chooses_the_algorithm(name: str) -> None:
    """`none`, a public key used as a secret, another hash, a key or a URL inside the header: all are refused."""
    key, good = KEYS[name], signed(KEYS[name])
    checked = verifier(key.published)
    _, body, signature = good.split(".")
    for header in (
        {"alg": "none"}, {"alg": "None"}, {"alg": ""}, {"alg": None}, {"alg": ["EdDSA"]}, {"alg": "HS256"}, {"alg": "RS512"},
        {"alg": "ES256K"}, {"alg": key.algorithm, "crit": ["exp"]}, {"alg": key.algorithm, "b64": False, "crit": ["b64"]},
        {"alg": key.algorithm, "jwk": key.published}, {"alg": key.algorithm, "jku": "https://evil.example/keys"},
    ):  # fmt: skip
        forged = base64.urlsafe_b64encode(json.dumps({"kid": key.key_id, **header}).encode()).rstrip(b"=").decode()
        with pytest.raises(ChaparError) as caught:
            checked.verify(f"{forged}.{body}.{signature}")
        assert caught.value.kind is ErrorKind.UNAUTHENTICATED


def test_a_key_in_the_header_is_never_used() -> None:
    """An attacker signs correctly, with a key of their own in the token."""
    stranger = make_key(KEYS["ES256"].key_id, "ES256")
    for header in ({"jwk": stranger.published}, {"jku": "https://evil.example/keys"}, {"x5c": ["MIIB"]}):
        with pytest.raises(ChaparError, match="cannot be verified"):
            verifier(KEYS["ES256"].published).verify(signed(stranger, header))


def test_two_keys_of_one_name_are_both_tried() -> None:
    """RFC 7517 allows it for different kinds; a third party's key is not accepted because of it."""
    one, two = KEYS["RS256"], KEYS["ES256"]
    checked = verifier({**one.published, "kid": "same"}, {**two.published, "kid": "same"})
    for key in (one, two):
        assert checked.verify(signed(key, {"kid": "same"})).tenant == "acme"
    with pytest.raises(ChaparError):
        checked.verify(signed(KEYS["EdDSA"], {"kid": "same"}))


@pytest.mark.parametrize("kid", ["", "other", "K-RS256", 7, None, [], "x" * 10_000, "../keys"])
def test_an_unknown_key_id_fits_no_key(kid: Any) -> None:
    """Also if only one key is published under a name."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": kid}).encode()).rstrip(b"=").decode()
    _, body, signature = signed(KEYS["RS256"]).split(".")
    with pytest.raises(ChaparError) as caught:
        verifier(KEYS["RS256"].published, KEYS["ES256"].published).verify(f"{header}.{body}.{signature}")
    assert caught.value.kind is ErrorKind.UNAUTHENTICATED


PRIVATE: dict[str, Any] = {
    "RSA": RSAAlgorithm.to_jwk(KEYS["RS256"].private, as_dict=True),
    "EC": ECAlgorithm.to_jwk(KEYS["ES256"].private, as_dict=True),
    "OKP": OKPAlgorithm.to_jwk(KEYS["EdDSA"].private, as_dict=True),
    "oct": {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 40).decode(), "alg": "HS256"},
}


@pytest.mark.parametrize("kind", PRIVATE)
def test_a_key_set_that_could_sign_is_refused(kind: str) -> None:
    """Private keys of a provider, or of an operator, are never used as public ones."""
    raw = json.dumps({"keys": [KEYS["ES384"].published, {**PRIVATE[kind], "kid": "x"}]}).encode()
    assert "able to sign" in refusal(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": "RS256"}, {"alg": "ES384"}, {"alg": 7},
        {"crv": "secp256k1"}, {"crv": "P-384"}, {"crv": 1}, {"kty": "RSA"}, {"kty": None}, {"kty": ["EC"]}, {"kid": 7},
        {"kid": "x" * 300}, {"x": ""}, {"x": "AAAA"}, {"y": KEYS["ES384"].published["y"]}, {"x": 7}, {"x": None},
        {"x": "A" * 200_000}, {"y": "%%%"},
    ],
)  # fmt: skip
def test_a_key_with_inconsistent_parameters_is_ignored(changes: dict[str, Any]) -> None:
    """The other keys of the set still verify; a set of this key alone has no key."""
    broken = {**KEYS["ES256"].published, **changes}
    assert [key.algorithm for key in key_set(broken, KEYS["EdDSA"].published)] == ["EdDSA"]
    assert "contains no key" in refusal(json.dumps({"keys": [broken]}).encode())


def test_weak_and_giant_rsa_keys_are_not_keys() -> None:
    """1024 bits can be factored; a modulus of 100,000 bits would cost the verifier much CPU time."""
    weak = RSAAlgorithm.to_jwk(
        rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(), as_dict=True
    )
    giant = {"kty": "RSA", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xff" * 12_500).rstrip(b"=").decode()}
    begun = time.process_time()
    for key in (weak, giant, {**KEYS["RS256"].published, "e": "AQ"}, {**KEYS["RS256"].published, "n": "AA"}):
        assert "contains no key" in refusal(json.dumps({"keys": [{**key, "kid": "x"}]}).encode())
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff", b"null", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [1]}', b'{"keys": [[]]}',
        b'{"keys":' + b"[" * 100_000, b" " * (MAX_SET_BYTES + 1), b'{"keys": [' + b"{}," * MAX_KEYS + b"{}]}",
        b'{"keys": [{"kty": "RSA", "n": ' + b"9" * 5000 + b"}]}",
    ],
)  # fmt: skip
def test_an_invalid_key_set_is_refused(raw: bytes) -> None:
    """A key set is bounded in bytes, in keys and in depth."""
    assert "the set" in refusal(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "kid", "x", "y", "n", "e", "x5c"])


@given(st.sampled_from(sorted(KEYS)), st.dictionaries(FIELDS, JSON, max_size=3))
@settings(max_examples=300)
def test_no_key_set_breaks_the_reader(name: str, changes: dict[str, Any]) -> None:
    """The result is keys or a refusal; each key has an algorithm that fits its kind."""
    try:
        found = key_set({**KEYS[name].published, **changes})
    except ChaparError:
        return
    assert {key.algorithm for key in found} <= {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *KEYS}


def test_pem_files_are_public_keys_of_accepted_kinds() -> None:
    """EC, Ed25519 and RSA are accepted; a private key or another curve is refused, with the file's name."""
    for name in ("RS256", "ES256", "ES384", "EdDSA"):
        pem = KEYS[name].private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert key_of_pem(pem, "file").algorithm == name
    private = KEYS["ES256"].private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for key in (ec.generate_private_key(ec.SECP256K1()), ed448.Ed448PrivateKey.generate()):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(ChaparError, match="the file is neither"):
            key_of_pem(pem, "the file")
    for raw in (private, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", b"\x00" * 100):
        with pytest.raises(ChaparError, match="the file"):
            key_of_pem(raw, "the file")
