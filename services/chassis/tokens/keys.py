"""Keys that verify tokens. Pure: parses bytes into a bounded number of keys.

The algorithm belongs to the key: it follows from kty, crv and alg of the key, and a token's header can only agree. A set that
contains private or shared keys is refused as a whole: a process that verifies must not be able to sign. Keys for encryption,
and keys of unknown kinds, are ignored (RFC 7517, 5).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.exceptions import PyJWTError

from services.chassis.tokens.refusals import bad_key

MAX_SET_BYTES: Final = 256 << 10
MAX_KEYS: Final = 64
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MIN_SECRET_BYTES: Final = 32  # RFC 7518, 3.2: an HS256 key is at least as long as the hash
_MAX_KEY_ID_CHARS: Final = 256
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, str]] = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_CURVE_NAMES: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key and the only algorithm that it verifies. `key_id` is empty for a key without a name."""

    key_id: str
    algorithm: str
    key: Any


def shared_secret(secret: bytes) -> VerificationKey:
    """Return the key of a secret that also signs: for development. Raises INVALID when it is too short."""
    if len(secret) < MIN_SECRET_BYTES:
        raise bad_key(f"the shared secret has {len(secret)} bytes, it needs at least {MIN_SECRET_BYTES}")
    return VerificationKey("", "HS256", secret)


def key_of_pem(raw: bytes, where: str) -> VerificationKey:
    """Return the public key in a PEM file, or that of a certificate. Raises INVALID naming `where`."""
    if b"PRIVATE KEY" in raw:
        raise bad_key(f"{where} contains a private key: a process that verifies tokens must not be able to sign them")
    try:
        if b"BEGIN CERTIFICATE" in raw:
            key: Any = x509.load_pem_x509_certificate(raw).public_key()
        else:
            key = load_pem_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise bad_key(f"{where} is not a PEM public key") from error
    algorithm = algorithm_of(key)
    if algorithm is None:
        raise bad_key(f"{where} is neither an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, nor EC, nor Ed25519")
    return VerificationKey("", algorithm, key)


def algorithm_of(key: Any) -> str | None:
    """Return the algorithm that a key (public or private) implies; None for one that is not accepted."""
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return "RS256" if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else None
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return _CURVE_NAMES.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return "EdDSA"
    return None


def keys_of_set(raw: bytes, where: str) -> tuple[VerificationKey, ...]:
    """Return the usable keys of a JSON Web Key Set. Raises INVALID naming `where` when there is none, or one that could sign."""
    if len(raw) > MAX_SET_BYTES:
        raise bad_key(f"{where} is larger than {MAX_SET_BYTES >> 10} KiB, so it is not a key set")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise bad_key(f"{where} is not JSON") from error
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS or not all(isinstance(each, dict) for each in listed):
        raise bad_key(f"{where} is not a JSON Web Key Set of at most {MAX_KEYS} keys")
    if any(not _PRIVATE.isdisjoint(each) for each in listed):
        raise bad_key(
            f"{where} contains private or shared keys: a process that verifies tokens must not be able to sign them"
        )
    found = tuple(key for each in listed if (key := _key(each)) is not None)
    if not found:
        raise bad_key(f"{where} contains no key that can verify (RSA, EC or Ed25519, for signatures)")
    return found


def _key(jwk: Mapping[str, Any]) -> VerificationKey | None:
    key_id, operations = jwk.get("kid", ""), jwk.get("key_ops", ["verify"])
    if not isinstance(key_id, str) or len(key_id) > _MAX_KEY_ID_CHARS or jwk.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    algorithm = _algorithm(jwk)
    if algorithm is None:
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        return None  # a broken key verifies nothing; the other keys of the set still do
    return VerificationKey(key_id, algorithm, key) if algorithm_of(key) is not None else None


def _algorithm(jwk: Mapping[str, Any]) -> str | None:
    """Return the one algorithm of a key; None when kty, crv and alg do not fit together."""
    named = jwk.get("alg")
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", None:
            return "RS256" if named is None else named if named in _RSA else None
        case "EC", str(curve):
            wanted = _CURVES.get(curve)
        case "OKP", "Ed25519":
            wanted = "EdDSA"
            named = wanted if named == "Ed25519" else named  # RFC 9864 names the curve
        case _:
            return None
    return wanted if named in (None, wanted) else None
